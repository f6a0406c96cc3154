// Package failover measures how long callers wait when the process that leads most partitions is killed, hangs or is asked to
// stop: a node with all roles, and a worker of the daemons form. No caller of an ingress that lives may see an error, and
// each addition is made once.
//
//	go test ./tests/e2e/failover -v              # once in each way
//	go test ./tests/e2e/failover -v -kills 20    # the figures of docs/reliability.md
package failover

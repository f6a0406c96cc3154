// Package soak has a cluster of eight daemons work for half an hour while clients go away in the middle, handlers hang until their
// attempts are aborted, payloads have up to 8 MiB, and the processes of the service, a worker and a log-server are killed again
// and again. It records memory and goroutines of each daemon, checks that they return to their level, and that each effect that
// was acknowledged is there once.
//
//	go test ./tests/e2e/soak -v                                            # 20 s: effects only
//	go test ./tests/e2e/soak -v -timeout 1h -time 30m -out "$PWD/docs"     # docs/soak.svg, and what docs/soak.md says
package soak

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"reprise/tests/e2e/harness"
)

// Three nodes with all roles wait for an operator who provisions them; a fourth one comes to them as all that it can be, and its
// process ends and comes back, as does that of the one that leads most, while clients call: none sees an error.
func TestProvisionAndGrow(t *testing.T) {
	f, err := harness.NewNodes(env.bins, env.ports, filepath.Join(env.dir, t.Name()))
	ok(t, err)
	for _, p := range f.Processes {
		p.Set("RESTATE_AUTO_PROVISION=false")
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	ok(t, os.MkdirAll(f.Dir, 0o755))
	for _, p := range f.Processes {
		ok(t, p.Start())
	}
	n := newOperator(t, fabricOf(f.Processes[1]))
	provision(t, n)
	for _, p := range f.Processes {
		ok(t, p.WaitReady(t.Context()))
	}
	n.run("provision", 0, "already provisioned: nothing was changed", `Number of partitions: 6`)
	n.run("provision -y -n 6 -r 2", 0, "already provisioned")
	n.run("provision -y --num-partitions 8 --replication 3", 1, "already provisioned, in another way: nothing was changed",
		`├─ Number of partitions: it has 6, not 8`, `├─ Log replication: it has {node: 2}, not {node: 3}`, `└─ Partition replication`)
	n.run("config set -y -n 8", 1, "the number of partitions is 6")
	n.run("config set -y -r 4", 1, `It is not safe to change the configuration of the cluster\n  ├─ no nodeset can be chosen for logs`, `└─ 3 active workers can not hold partitions as {node: 4} says`)

	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(f)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))
	w := &callers{form: f}
	stop := w.start(t.Context(), 4)
	t.Cleanup(stop)
	ok(t, w.progress(t.Context(), 100))

	fourth, err := f.Add(env.bins, "node-4")
	ok(t, err)
	ok(t, fourth.Restart(t.Context()))
	n.waits("metadata-server list", 0, ` node-4 +Member `)
	n.waits("nodes list --extra", 0, ` node-4 +\S+ +admin \| http-ingress \| log-server \| metadata-server \| worker +- +read-write +active +\d+s +alive `)
	n.held("it holds its share", func(sets map[int][]string) error {
		for _, nodes := range sets {
			if slices.Contains(nodes, "N"+n.id("node-4")) {
				return nil
			}
		}
		return fmt.Errorf("it holds nothing: %v", sets)
	})
	n.run("config set -y -r 4", 0, `Log replication: {node: 4}`)
	n.run("config set -y -r 2", 0, `Log replication: {node: 2}`)
	n.await("logs have two copies again", func() error {
		return n.call(t.Context(), cliCase{line: "logs list", not: []string{`{node: 4}`}})
	})

	busiest, _, err := f.Busiest(t.Context())
	ok(t, err)
	for _, p := range []*harness.Process{fourth, busiest} {
		ok(t, p.Stop())
		ok(t, w.progress(t.Context(), 50))
		ok(t, p.Restart(t.Context()))
		n.waits("metadata-server list", 0, ` `+p.Name+` +Member +3`)
		ok(t, w.progress(t.Context(), 50))
	}
	stop()
	for _, err := range w.errs {
		t.Errorf("a client saw %v", err)
	}
}

// provision makes a cluster of those that wait, once.
func provision(t *testing.T, n *operator) {
	t.Helper()
	n.waits("provision --num-partitions 6 --replication 2", 1, "Number of partitions: 6", "nobody answered; use --yes")
	n.run("status", 1, "the cluster is not provisioned: see 'reprisectl provision'")
	n.run("config get", 1, "the cluster is not provisioned: see")
	n.run("provision -y -r nonsense", 1, `nonsense`)
	n.run("provision -y --log-provider local", 2, "there is only replicated")
	n.run("provision -y --disable-feature x", 2, "no feature")
	n.run("provision -y -n 70000", 1, "70000 partitions: a cluster has 1 to 65535")
	n.run("provision -y -n 6 -r 2", 0, `✅ The cluster \S+ \([0-9a-f]{16}\) is provisioned`)
}

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"reprise/tests/e2e/harness"
	"reprise/tests/e2e/history"
)

// A cluster that lost a quorum says which nodes it waits for, answers reads of status, and loses nothing when they return.
// Without the metadata quorum traffic goes on; without the log-servers it waits.
func TestLostQuorum(t *testing.T) {
	f, err := harness.NewCluster(env.bins, env.ports, filepath.Join(env.dir, t.Name()), nil)
	ok(t, err)
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	ok(t, f.Start(t.Context()))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(f)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))
	process := func(name string) *harness.Process {
		t.Helper()
		p, err := f.Process(name)
		ok(t, err)
		return p
	}
	n := newOperator(t, fabricOf(process("metadata-1")))
	const keys = 48 // so that each partition has some
	write := func(what string, k int) error {
		return c.Call(t.Context(), fmt.Sprintf("Account/quorum-%d/add", k), what, nil, "idempotency-key", fmt.Sprint(what, k))
	}
	for k := range keys {
		ok(t, write("before", k))
	}

	for _, name := range []string{"metadata-2", "metadata-3"} {
		ok(t, process(name).Kill())
	}
	n.waits("status", 0, `it waits for metadata-[23], metadata-[23]`, ` worker-1 +\d+s `, ` log-server-3 +\d+s `)
	n.waits("nodes list", 0, ` metadata-3 `, ` worker-3 `)
	n.waits("partitions list", 0, `\n 23 +N\d+:1 +Leader +Active`)
	n.waits("metadata-server list", 0, `metadata-2 +Unreachable`, `metadata-3 +Unreachable`, `metadata-1 +Member`)
	n.waits("--request-timeout 1000 logs list", 1, `does not answer|Unavailable|deadline`)
	n.waits("-y --request-timeout 1000 nodes set-storage-state --nodes 4 --storage-state read-only", 1, `does not answer|Unavailable|deadline`)
	for k := range keys {
		ok(t, write("without the metadata quorum", k))
	}
	for _, name := range []string{"metadata-2", "metadata-3"} {
		ok(t, process(name).Restart(t.Context()))
	}
	n.waits("logs list", 0, `\n 23 +\d+ +\d+ +replicated`)

	for _, name := range []string{"log-server-2", "log-server-3"} {
		ok(t, process(name).Kill())
	}
	answered := make(chan error, keys)
	for k := range keys {
		go func() { answered <- write("without log-servers", k) }()
	}
	n.waits("-S logs find-tail 0", 1, `too few log-servers answer`, `N\d+: `)
	n.waits("nodes list --extra", 0, ` log-server-2 .* dead`, ` log-server-3 .* dead`)
	for _, name := range []string{"log-server-2", "log-server-3"} {
		ok(t, process(name).Restart(t.Context()))
	}
	for range keys {
		ok(t, <-answered)
	}
	n.waits("logs find-tail 0-23", 0, `\n 23 +\d+ +OPEN`)
	for k := range keys {
		var a history.Account
		ok(t, c.Call(t.Context(), fmt.Sprintf("Account/quorum-%d/read", k), nil, &a))
		if a.Total != 3 || len(a.Marks) != 3 {
			t.Errorf("account %d is %+v, want 3 additions", k, a)
		}
	}
}

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

const (
	// killEvery is how long after a kill the next one is.
	killEvery = 10 * time.Second
	// backAfter is how long a node that was killed stays away.
	backAfter = time.Second
)

// The conformance suite passes while a node with all roles of three is killed every ten seconds, and started again a second
// later. The ingress and the admin API that the suite speaks with are daemons of their own, which stay.
func TestConformanceWhileNodesDie(t *testing.T) {
	dir := filepath.Join(env.dir, "nodes-die")
	form, err := harness.NewNodes(env.bins, env.ports, dir)
	ok(t, err)
	t.Cleanup(func() { ok(t, form.Stop()) })
	ok(t, form.Start(t.Context()))
	ok(t, form.WaitSettled(t.Context()))

	modes := []string{"bidi"}
	if *matrixFlag {
		modes = []string{"bidi", "request-response", "http1"}
	}
	var runs []suiteRun
	for _, mode := range modes {
		runs = append(runs, suiteRun{sdk: "go", mode: mode}, suiteRun{sdk: "typescript", mode: mode})
	}
	ctx, cancel := context.WithCancel(t.Context())
	killed := make(chan error, 1) // takes what the killer ends with
	go func() { killed <- killNodes(ctx, t, form) }()
	for _, r := range runs {
		r.versions, r.groups = "5-7", strings.Replace(groups, "crash|", "", 1) // its cases start the server themselves
		t.Run(r.name(), func(t *testing.T) {
			if r.sdk == "typescript" {
				needTypeScript(t)
			}
			file := filepath.Join(dir, r.name()+".json")
			suite := suiteCommand(t, r, form.Ingress, form.Admin, file, "-while-killed", "-patience", "3")
			out, err := suite.CombinedOutput()
			judge(t, file, r, out, err)
		})
	}
	cancel()
	ok(t, <-killed)
	if t.Failed() {
		t.Logf("the nodes' output is in %s", dir)
	}
}

// killNodes kills one node after the other until ctx ends, and has all of them run then.
func killNodes(ctx context.Context, t *testing.T, form *harness.Form) error {
	tick := time.NewTicker(killEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		node := form.Processes[n%3]
		select {
		case <-ctx.Done():
			t.Logf("%d nodes were killed", n)
			return nil
		case <-tick.C:
		}
		if err := node.Kill(); err != nil {
			return fmt.Errorf("kill %d, of %s: %w", n+1, node.Name, err)
		}
		<-time.After(backAfter) // the fault itself takes that long
		if err := node.Restart(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("the start after kill %d: %w", n+1, err)
		}
	}
}

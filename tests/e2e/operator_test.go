package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// operator looks at a cluster with reprisectl and changes it.
type operator struct {
	*session
	t *testing.T
}

// newOperator is one who asks at an address, or several with commas.
func newOperator(t *testing.T, at string) *operator {
	t.Helper()
	return &operator{t: t, session: &session{program: env.bins.Path("reprisectl"), first: []string{"-s", at}, home: t.TempDir(), names: map[string]string{}}}
}

// fabricOf is the address of a daemon's fabric port.
func fabricOf(p *harness.Process) string { return p.Addrs[0] }

// run runs a command once: it has to end with that code and to say all that. It returns what it said.
func (n *operator) run(line string, exit int, says ...string) string {
	n.t.Helper()
	out, err := n.said(n.t.Context(), cliCase{line: line, exit: exit, says: says})
	if err != nil {
		n.t.Fatalf("%s: %v", line, err)
	}
	return out
}

// waits runs a command until it ends with that code and says all that.
func (n *operator) waits(line string, exit int, says ...string) (out string) {
	n.t.Helper()
	n.await(line, func() (err error) {
		out, err = n.said(n.t.Context(), cliCase{line: line, exit: exit, says: says})
		return err
	})
	return out
}

// await asks until f is content.
func (n *operator) await(what string, f func() error) {
	n.t.Helper()
	ok(n.t, harness.Wait(n.t.Context(), time.Minute, what, func(context.Context) error { return f() }))
}

// id is the plain id of a node, "?" if there is none.
func (n *operator) id(name string) string {
	m := regexp.MustCompile(` N(\d+) +N\d+:\d+ +` + name + ` `).FindStringSubmatch(n.run("nodes list", 0))
	if m == nil {
		return "?"
	}
	return m[1]
}

func (n *operator) workerState(node string) string {
	var rows []struct {
		Node        string
		WorkerState string `json:"worker_state"`
	}
	ok(n.t, json.Unmarshal([]byte(n.run("nodes list --json", 0)), &rows))
	for _, r := range rows {
		if r.Node == "N"+node {
			return r.WorkerState
		}
	}
	return ""
}

// sets are who holds each partition; nil while one moves.
func (n *operator) sets() map[int][]string {
	n.t.Helper()
	var rows []struct {
		Partition     int
		Current, Next []string
	}
	ok(n.t, json.Unmarshal([]byte(n.run("partitions placement show --json", 0)), &rows))
	sets := map[int][]string{}
	for _, r := range rows {
		if len(r.Next) == 0 {
			sets[r.Partition] = r.Current
		}
	}
	return sets
}

func (n *operator) held(what string, f func(map[int][]string) error) {
	n.t.Helper()
	n.await(what, func() error { return f(n.sets()) })
}

// all is content if all 24 partitions rest on so many workers, not on a certain one ("": on any), each of which is up to date.
func (n *operator) all(sets map[int][]string, copies int, not string) error {
	if len(sets) != 24 {
		return fmt.Errorf("%d of 24 partitions are at rest", len(sets))
	}
	for p, nodes := range sets {
		if len(nodes) != copies || slices.Contains(nodes, "N"+not) {
			return fmt.Errorf("partition %d is held by %v", p, nodes)
		}
	}
	out := n.run("partitions list", 0)
	if up := strings.Count(out, " Active "); up != 24*copies {
		return fmt.Errorf("%d replicas are up to date: %s", up, out)
	}
	return nil
}

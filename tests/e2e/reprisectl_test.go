package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"reprise/tests/e2e/harness"
)

// Every command against five kinds of daemons, asked through one that is no metadata daemon.
func TestReprisectl(t *testing.T) {
	f := newForm(t, "daemons")
	worker, err := f.Process("worker-1")
	ok(t, err)
	n := newOperator(t, fabricOf(worker))
	n.await("leaders and followers", func() error {
		out, err := n.said(t.Context(), cliCase{line: "partitions list --json"})
		if err != nil {
			return err
		}
		if leaders, followers := strings.Count(out, `"Leader"`), strings.Count(out, `"Follower"`); leaders != 24 || followers != 24 {
			return fmt.Errorf("%d leaders, %d followers: %.2000s", leaders, followers, out)
		}
		return nil
	})
	n.run("provision", 0, "already provisioned", `Number of partitions: 24`)
	n.run("config get", 0, `Partition replication: {node: 2}`, `Logs Provider: replicated`)
	n.run("status", 0, `Node Configuration \(v\d+\)`, `N\d:1 +metadata +\d+s +Member +- +- +0 +0 +metadata-server`, `N\d:1 +worker-1 +\d+s +- +\d+ +\d+ +0 +\d+ +worker`)
	n.run("status --extra", 0, `LSN-LAG`, `WORKER-STATE`, `SEGMENTS`)
	n.run("nodes list --extra", 0, `log-server-1 +http://127\.0\.0\.1:\d+ +log-server +- +read-write +- +\d+s +alive +\S+`, `worker-2 .* active `)
	n.run("partitions list", 0, `Alive partition processors`, `\n 0 +N\d:1 +Leader +Active +e1 `, `\n 0 +N\d:1 +Follower +Active `)
	n.run("logs list", 0, `Logs v\d+\n└ Logs Provider: replicated`, `\n 0 +1 +1 +replicated +0_0 +{node: 2} +N\d:1 +\[N\d, N\d, N\d\]`)
	n.run("logs describe 3", 0, `Log Id: 3`, `▶︎ +0 +1 +replicated +3_0`, `1/1 segments shown`)
	n.run("logs describe 99", 1, `there is no log 99: they are 0 to 23`)
	n.run("logs find-tail 0-1", 0, `\n 0 +0 +OPEN +\d+`, `\n 1 +0 +OPEN +\d+`)
	n.run("replicated-loglet info 3_0", 0, `Loglet Id: +3_0 \(raw=12884901888\)`, `Used in: +LogId=3 at Segment=0\n`, `\n N\d +\d+ +\d+ +0 +NO`)
	n.run("replicated-loglet digest 3_0", 0, ` 1(-\d+)? +[X-] +[X-] +[X-]`)
	n.run("replicated-loglet info 3_7", 1, `there is no loglet 3_7`)
	n.run("replicated-loglet list-servers", 0, `read-write +0 +24`)
	n.run("metadata-server list", 0, `metadata +Member +3\.\S+ +metadata +\[metadata\] +\d+ +\d+ +\d+`)
	n.run("metadata get -k epochs/0", 0, `"epoch": "1"`, `"replicas"`)
	n.run("metadata get -k nonsense", 1, `no document has the key`)

	leader := func(p int) (node string, others []string) {
		t.Helper()
		var rows []struct {
			Leader   string
			Replicas []string
		}
		ok(t, json.Unmarshal([]byte(n.run(fmt.Sprintf("partitions leadership show %d --json", p), 0)), &rows))
		node, _, _ = strings.Cut(rows[0].Leader, ":")
		for _, r := range rows[0].Replicas {
			if r != node {
				others = append(others, r)
			}
		}
		return node, others
	}
	was, others := leader(5)
	n.run("partitions leadership move 5 --node "+others[0], 0, `Partition 5 is led by `+others[0]+`:1 \(e2\), was `+was)
	if now, _ := leader(5); now != others[0] {
		t.Errorf("partition 5 is led by %s, want %s", now, others[0])
	}
	n.run("partitions leadership move 5 --node "+others[0], 0, `led by `+others[0]+`:1 already`)
	n.run("partitions leadership move 5 --node 1", 1, `can not be led|does not hold it`)

	n.run("logs reconfigure -y -l 6", 0, `✅ Log reconfiguration \(6\)\n └ Segment Index: 1\nSealed segment\n ├ Index: 0\n ├ Tail LSN: \d+`, `New segment\n ├ Index: 1\n`, `Loglet ID: 6_1`)
	n.run("logs describe 6", 0, `▶︎ +1 +\d+ +replicated +6_1`, `2/2 segments`)
	sequencer, followers := leader(7)
	n.run("logs reconfigure -y -l 7 --json --sequencer "+followers[0], 0, `"sequencer": "`+followers[0]+`:1"`, `"sealed_segment": 0`)
	if now, _ := leader(7); now != followers[0] || now == sequencer {
		t.Errorf("partition 7 is led by %s", now)
	}
	n.run("logs reconfigure -y -l 6 -i 0", 1, `segment 0 is not the last one of log 6, that is 1`)
	n.run("logs reconfigure -y -l 6 -m 999999999", 1, `the chain of log 6 has version \d+, not yet 999999999`)
	n.run("logs reconfigure -y -l 99", 1, `log 99: there is no log 99: they are 0 to 23`)
	n.run("logs reconfigure -y -l 6 --sequencer 1", 1, `can not be led|does not hold it`)
	n.run("logs reconfigure -y -l 6 --replication 3", 2, `config set --log-replication 3`)
	n.run("logs reconfigure -y -l 6 --nodeset 1", 2, `chosen by the leader`)
	n.run("logs reconfigure -y -l 6 -p local", 2, `replicated is the only kind`)
	n.run("logs reconfigure -y -l nonsense", 2, `invalid value 'nonsense'`)
	n.run("logs reconfigure -y", 2, `log-id`)
	n.run("logs reconfigure -l 6", 1, `nobody answered; use --yes`)

	testSeal(t, f, n)
	testStates(t, f, n)
	testWithoutMetadata(t, f, n)
}

// testSeal seals all logs: whoever writes next begins a new segment, and no client sees that.
func testSeal(t *testing.T, f *harness.Form, n *operator) {
	t.Helper()
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(f)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))
	n.run("logs seal 0-23 -y", 0, `\n 4 +0 +SEALED +\d+`, `\n 5 +1 +SEALED +\d+`)
	if out := n.run("logs find-tail 0-23", 0); strings.Count(out, "SEALED") == 0 {
		t.Errorf("no log is sealed:\n%s", out)
	}
	for i := range 200 { // each partition has some of the keys
		ok(t, c.Call(t.Context(), fmt.Sprintf("Box/seal-%d/clear", i), "x", nil))
	}
	n.run("logs find-tail 0-23", 0, `\n 4 +1 +OPEN`, `\n 5 +2 +OPEN`)
	n.run("logs describe 4", 0, `\n +0 +1 +replicated +4_0`, `▶︎ +1 +\d+ +replicated +4_1`, `2/2 segments`)
	n.run("logs seal 4 -i 0 -y", 1, `segment 0 is not the last one of log 4`)
}

// testStates changes states and takes a node away.
func testStates(t *testing.T, f *harness.Form, n *operator) {
	t.Helper()
	ids := map[string]string{}
	for _, m := range regexp.MustCompile(` N(\d+) +N\d+:1 +(\S+) `).FindAllStringSubmatch(n.run("nodes list", 0), -1) {
		ids[m[2]] = m[1]
	}
	n.run("nodes set-worker-state -y --nodes "+ids["worker-2"]+" --worker-state draining", 1, `1 other workers are active, which can not hold 2 copies`)
	n.run("nodes set-worker-state -y --nodes "+ids["log-server-1"]+" --worker-state draining", 1, `is no worker`)
	n.run("nodes set-storage-state -y --nodes "+ids["log-server-3"]+" --storage-state read-only", 0, `N\d is read-only`)
	n.run("nodes set-storage-state -y --nodes "+ids["log-server-2"]+" --storage-state read-only", 1, `without it no nodeset can be chosen`)
	n.run("nodes remove -y --nodes "+ids["log-server-3"], 1, `It is not safe to remove node N\d`, `├─ it runs, as N\d:1`, `─ log server is part of a node set of loglet 0_0`)
	n.run("nodes remove -y --nodes "+ids["worker-1"], 1, `worker holds partitions 0, 1, 2`)
	n.run("nodes remove -y --nodes "+ids["metadata"], 1, `member of the metadata quorum`)
	n.run("nodes set-storage-state -y --nodes "+ids["log-server-3"]+" --storage-state read-write", 0)
	ingress, err := f.Process("ingress")
	ok(t, err)
	n.run("nodes remove -y --nodes "+ids["ingress"], 1, `it runs`)
	ok(t, ingress.Stop())
	n.run("nodes remove -y --nodes "+ids["ingress"], 0, `was removed`)
	if out := n.run("nodes list", 0); strings.Contains(out, "http-ingress") {
		t.Errorf("it is there still:\n%s", out)
	}
}

// testWithoutMetadata says what does not answer.
func testWithoutMetadata(t *testing.T, f *harness.Form, n *operator) {
	t.Helper()
	metadata, err := f.Process("metadata")
	ok(t, err)
	ok(t, metadata.Kill())
	n.run("status", 1, `no metadata daemon answers`, regexp.QuoteMeta(fabricOf(metadata)))
}

// One process answers the same questions.
func TestReprisectlStandalone(t *testing.T) {
	n := newOperator(t, newForm(t, "standalone").Fabric)
	for line, says := range map[string]string{
		"status":                        `N1:1 +standalone +\d+s +Member +24 +0 +24 +24 +admin \| http-ingress`,
		"nodes list":                    `N1 +N1:1 +standalone`,
		"partitions list":               `\n 0 +N1:1 +Leader +Active +e1`,
		"logs list":                     `\n 0 +1 +1 +replicated +0_0`,
		"logs find-tail 0":              `\n 0 +0 +OPEN`,
		"metadata-server list":          `standalone +Member +3\.`,
		"replicated-loglet info 0_0":    `N1 +\d+ +\d+ +0 +NO`,
		"provision":                     `already provisioned`,
		"partitions leadership show 23": ` 23 +N1:1 +e1 +\[N1\]`,
		"-y logs reconfigure -l 3":      `Sealed segment\n ├ Index: 0\n(.*\n)*New segment\n ├ Index: 1\n`,
	} {
		n.waits(line, 0, says) // leaders come after the ports
	}
	for line, says := range map[string]string{
		"-y metadata-server remove-node 1": `only member of the metadata quorum`,
		"-y metadata-server add-node 1":    `has not said where other members find it`,
		"-y logs reconfigure -l 3 -i 7":    `segment 7 is not the last one of log 3`,
		"partitions leadership move 0":     `no other worker holds it and lives`,
	} {
		n.run(line, 1, says)
	}
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// ctl runs reprisectl and returns its output, both kinds, and whether it succeeded.
func ctl(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), env.bins.Path("reprisectl"), args...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// fabricOf is the address of a daemon's fabric port.
func fabricOf(p *harness.Process) string { return p.Addrs[0] }

// Every command against five kinds of daemons, asked through one that is no metadata daemon.
func TestReprisectl(t *testing.T) {
	f := newForm(t, "daemons")
	worker, err := f.Process("worker-1")
	ok(t, err)
	at := fabricOf(worker)
	run := func(line string, fails bool, says ...string) string {
		t.Helper()
		out, success := ctl(t, append([]string{"-s", at}, strings.Fields(line)...)...)
		if success == fails {
			t.Fatalf("%s: success %t\n%s", line, success, out)
		}
		for _, s := range says {
			if !regexp.MustCompile(s).MatchString(out) {
				t.Errorf("%s does not say %q:\n%s", line, s, out)
			}
		}
		return out
	}
	// All partitions have a leader and a follower.
	ok(t, harness.Wait(t.Context(), time.Minute, "leaders and followers", func(context.Context) error {
		out, success := ctl(t, "-s", at, "partitions", "list", "--json")
		if n := strings.Count(out, `"Leader"`); !success || n != 24 || strings.Count(out, `"Follower"`) != 24 {
			return fmt.Errorf("%d leaders: %.2000s", n, out)
		}
		return nil
	}))
	run("provision", false, "already provisioned", `Number of partitions: 24`)
	run("config get", false, `Partition replication: {node: 2}`, `Logs Provider: replicated`)
	run("status", false, `Node Configuration \(v\d+\)`, `N\d:1 +metadata +\d+s +Member +- +- +0 +0 +metadata-server`, `N\d:1 +worker-1 +\d+s +- +\d+ +\d+ +0 +\d+ +worker`)
	run("status --extra", false, `LSN-LAG`, `WORKER-STATE`, `SEGMENTS`)
	run("nodes list --extra", false, `log-server-1 +http://127\.0\.0\.1:\d+ +log-server +- +read-write +- +\d+s +alive +\S+`, `worker-2 .* active `)
	run("partitions list", false, `Alive partition processors`, `\n 0 +N\d:1 +Leader +Active +e1 `, `\n 0 +N\d:1 +Follower +Active `)
	run("logs list", false, `Logs v\d+\n└ Logs Provider: replicated`, `\n 0 +1 +1 +replicated +0_0 +{node: 2} +N\d:1 +\[N\d, N\d, N\d\]`)
	run("logs describe 3", false, `Log Id: 3`, `▶︎ +0 +1 +replicated +3_0`, `1/1 segments shown`)
	run("logs describe 99", true, `there is no log 99: they are 0 to 23`)
	run("logs find-tail 0-1", false, `\n 0 +0 +OPEN +\d+`, `\n 1 +0 +OPEN +\d+`)
	run("replicated-loglet info 3_0", false, `Loglet Id: +3_0 \(raw=12884901888\)`, `Used in: +LogId=3 at Segment=0\n`, `\n N\d +\d+ +\d+ +0 +NO`)
	run("replicated-loglet digest 3_0", false, ` 1(-\d+)? +[X-] +[X-] +[X-] `)
	run("replicated-loglet info 3_7", true, `there is no loglet 3_7`)
	run("replicated-loglet list-servers", false, `read-write +0 +24`)
	run("metadata-server list", false, `metadata +Member +3\.\S+ +metadata +\[metadata\] +\d+ +\d+ +\d+`)
	run("metadata get -k epochs/0", false, `"epoch": "1"`, `"replicas"`)
	run("metadata get -k nonsense", true, `no document has the key`)

	leader := func(p int) (node string, others []string) {
		t.Helper()
		var rows []struct {
			Leader   string
			Replicas []string
		}
		ok(t, json.Unmarshal([]byte(run(fmt.Sprintf("partitions leadership show %d --json", p), false)), &rows))
		node, _, _ = strings.Cut(rows[0].Leader, ":")
		for _, r := range rows[0].Replicas {
			if r != node {
				others = append(others, r)
			}
		}
		return node, others
	}
	was, others := leader(5)
	run("partitions leadership move 5 --node "+others[0], false, `Partition 5 is led by `+others[0]+`:1 \(e2\), was `+was)
	if now, _ := leader(5); now != others[0] {
		t.Errorf("partition 5 is led by %s, want %s", now, others[0])
	}
	run("partitions leadership move 5 --node "+others[0], false, `led by `+others[0]+`:1 already`)
	run("partitions leadership move 5 --node 1", true, `can not be led|does not hold it`)

	run("logs reconfigure -y -l 6", false, `✅ Log reconfiguration \(6\)\n └ Segment Index: 1\nSealed segment\n ├ Index: 0\n ├ Tail LSN: \d+`, `New segment\n ├ Index: 1\n`, `Loglet ID: 6_1`)
	run("logs describe 6", false, `▶︎ +1 +\d+ +replicated +6_1`, `2/2 segments`)
	sequencer, followers := leader(7)
	run("logs reconfigure -y -l 7 --json --sequencer "+followers[0], false, `"sequencer": "`+followers[0]+`:1"`, `"sealed_segment": 0`)
	if now, _ := leader(7); now != followers[0] || now == sequencer {
		t.Errorf("partition 7 is led by %s", now)
	}
	run("logs reconfigure -y -l 6 -i 0", true, `segment 0 is not the last one of log 6, that is 1`)
	run("logs reconfigure -y -l 6 -m 999999999", true, `the chain of log 6 has version \d+, not yet 999999999`)
	run("logs reconfigure -y -l 99", true, `log 99: there is no log 99: they are 0 to 23`)
	run("logs reconfigure -y -l 6 --sequencer 1", true, `can not be led|does not hold it`)
	run("logs reconfigure -y -l 6 --replication 3", true, `config set --log-replication 3`)
	run("logs reconfigure -y -l 6 --nodeset 1", true, `chosen by the leader`)
	run("logs reconfigure -y -l 6 -p local", true, `replicated is the only kind`)
	run("logs reconfigure -y -l nonsense", true, `invalid value 'nonsense'`)
	run("logs reconfigure -y", true, `log-id`)
	run("logs reconfigure -l 6", true, `nobody answered; use --yes`)

	testSeal(t, f, run)
	testStates(t, f, run)
	testWithoutMetadata(t, f, run)
}

// testSeal seals all logs: whoever writes next begins a new segment, and no client sees that.
func testSeal(t *testing.T, f *harness.Form, run func(line string, fails bool, says ...string) string) {
	t.Helper()
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(f)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))
	run("logs seal 0-23 -y", false, `\n 4 +0 +SEALED +\d+`, `\n 5 +1 +SEALED +\d+`)
	if out := run("logs find-tail 0-23", false); strings.Count(out, "SEALED") == 0 {
		t.Errorf("no log is sealed:\n%s", out)
	}
	for i := range 200 { // each partition has some of the keys
		ok(t, c.Call(t.Context(), fmt.Sprintf("Box/seal-%d/clear", i), "x", nil))
	}
	run("logs find-tail 0-23", false, `\n 4 +1 +OPEN`, `\n 5 +2 +OPEN`)
	run("logs describe 4", false, `\n +0 +1 +replicated +4_0`, `▶︎ +1 +\d+ +replicated +4_1`, `2/2 segments`)
	run("logs seal 4 -i 0 -y", true, `segment 0 is not the last one of log 4`)
}

// testStates changes states and takes a node away.
func testStates(t *testing.T, f *harness.Form, run func(line string, fails bool, says ...string) string) {
	t.Helper()
	ids := map[string]string{}
	for _, m := range regexp.MustCompile(` N(\d+) +N\d+:1 +(\S+) `).FindAllStringSubmatch(run("nodes list", false), -1) {
		ids[m[2]] = m[1]
	}
	run("nodes set-worker-state -y --nodes "+ids["worker-2"]+" --worker-state draining", true, `1 other workers are active, which can not hold 2 copies`)
	run("nodes set-worker-state -y --nodes "+ids["log-server-1"]+" --worker-state draining", true, `is no worker`)
	run("nodes set-storage-state -y --nodes "+ids["log-server-3"]+" --storage-state read-only", false, `N\d is read-only`)
	run("nodes set-storage-state -y --nodes "+ids["log-server-2"]+" --storage-state read-only", true, `without it no nodeset can be chosen`)
	run("nodes remove -y --nodes "+ids["log-server-3"], true, `It is not safe to remove node N\d`, `├─ it runs, as N\d:1`, `─ log server is part of a node set of loglet 0_0`)
	run("nodes remove -y --nodes "+ids["worker-1"], true, `worker holds partitions 0, 1, 2`)
	run("nodes remove -y --nodes "+ids["metadata"], true, `member of the metadata quorum`)
	run("nodes set-storage-state -y --nodes "+ids["log-server-3"]+" --storage-state read-write", false)
	ingress, err := f.Process("ingress")
	ok(t, err)
	run("nodes remove -y --nodes "+ids["ingress"], true, `it runs`)
	ok(t, ingress.Stop())
	run("nodes remove -y --nodes "+ids["ingress"], false, `was removed`)
	if out := run("nodes list", false); strings.Contains(out, "http-ingress") {
		t.Errorf("it is there still:\n%s", out)
	}
}

// testWithoutMetadata says what does not answer.
func testWithoutMetadata(t *testing.T, f *harness.Form, run func(line string, fails bool, says ...string) string) {
	t.Helper()
	metadata, err := f.Process("metadata")
	ok(t, err)
	ok(t, metadata.Kill())
	run("status", true, `no metadata daemon answers`, regexp.QuoteMeta(fabricOf(metadata)))
}

// One process answers the same questions.
func TestReprisectlStandalone(t *testing.T) {
	f := newForm(t, "standalone")
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
		ok(t, harness.Wait(t.Context(), 30*time.Second, line, func(context.Context) error { // leaders come after the ports
			out, success := ctl(t, append([]string{"-s", f.Fabric}, strings.Fields(line)...)...)
			if !success || !regexp.MustCompile(says).MatchString(out) {
				return fmt.Errorf("%s", out)
			}
			return nil
		}))
	}
	for line, says := range map[string]string{
		"-y metadata-server remove-node 1": `only member of the metadata quorum`,
		"-y metadata-server add-node 1":    `has not said where other members find it`,
		"-y logs reconfigure -l 3 -i 7":    `segment 7 is not the last one of log 3`,
	} {
		if out, success := ctl(t, append([]string{"-s", f.Fabric}, strings.Fields(line)...)...); success || !strings.Contains(out, says) {
			t.Errorf("%s: %s", line, out)
		}
	}
	if out, success := ctl(t, "-s", f.Fabric, "partitions", "leadership", "move", "0"); success || !strings.Contains(out, "no other worker holds it and lives") {
		t.Errorf("moved: %s", out)
	}
}

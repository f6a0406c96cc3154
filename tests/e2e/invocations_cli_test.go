package e2e

import (
	"context"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// invocationCommands is what our own command line does about invocations, state and SQL, each step after those before it.
var invocationCommands = []cliCase{
	{line: "inv list", says: []string{`❯ \[.*\] $naps\n +Target: +Desk/naps\n +Status: +(running|suspended) \(`, `$waits\n`, `Showing 7/7 invocations\. Query took`}, not: []string{`$fine`}},
	{line: "inv ls --all --limit 2 --oldest-first", says: []string{`Target: +Desk/`, `Showing 2/10 invocations`}},
	{line: "inv ls --status backing-off --service Desk", says: []string{`$stumbles`, `\[500 Internal\] the drawer is stuck`, `1 attempt failed, next in`, `Showing 1/1`}},
	{line: "inv ls --completion-result failure", says: []string{`$breaks`, `Error: +\[500\] breaks broke`, `Showing 1/1`}},
	{line: "inv ls --virtual-objects-only --key k1 --handler holds", says: []string{`$held`, `$waits`, `Showing 2/2`}},
	{line: "inv ls --deployment $deskDP --status suspended --status running", says: []string{`Showing 4/4`}},
	{line: "inv ls --zombie", says: []string{`Showing 0/0`}},
	{line: "inv ls --json --key t1", says: []string{`^\[\n  {\n`, `"id": "$trip"`, `"target": "Trip/t1/run"`}},

	{line: "inv describe $naps", says: []string{`Target: +Desk/naps`, `Deployment: +$deskDP \[required\]`, `Endpoint: +$deskURL/`, `- #3 Sleep \[long nap\] until .* \(in 59 minutes`,
		`#1 .* Command: Run \[lie down\]\n`, `#2 .* Notification: Run for #1`, `#3 .* ← waits for it`, `└────>> (running|suspended)`}},
	{line: "inv get $stumbles", says: []string{`Status: +backing-off`, `1 attempt failed\. The next one starts at .*, in`, `reprise invocations resume $stumbles`,
		`Last failure \(.*\) RT0007:\n +\[500 Internal\] the drawer is stuck`, `✗ \[.*\] TransientError RT0007 \[500\] the drawer is stuck`}},
	{line: "inv get $stops", says: []string{`It is paused since`, `reprise invocations resume $stops`, `Last failure \(.*\) RT0007:\n +\[500\] the drawer is stuck`, `✗ \[.*\] Paused RT0007`}},
	{line: "inv get $asks", says: []string{`- #1 Call Clerk/k1/holds $held, which is (running|suspended)`}},
	{line: "inv get $held", says: []string{`Invoked by: +Desk/asks $asks`, `Desk/asks $asks\n └──\(this\)─> Clerk/k1/holds`, `#1 .* Command: SetState key held`, `(- awakeable sign_1|Nothing in its journal is open)`}},
	{line: "inv get $trip", says: []string{`- #1 GetPromise key ticket`}},
	{line: "inv get $waits", says: []string{`It waits for its turn: Clerk/k1 is held by Clerk/k1/holds $held`}},
	{line: "inv get $breaks", says: []string{`It failed: \[500\] breaks broke`, `reprise invocations restart-as-new $breaks`, `Command: Output failure`}},
	{line: "inv get $gone", exit: 1, says: []string{`invocation $gone not found`}},
	{line: "inv get nonsense", exit: 2, says: []string{`no id of an invocation`}},
	{line: "inv get $fine --json", says: []string{`"status": "completed"`, `"entry_type": "Command: Output"`}},

	{line: "inv cancel $naps", exit: 1, says: []string{`$naps +Desk/naps`, `--yes`}},
	{line: "inv cancel -y Nope", exit: 1, says: []string{"No invocations found for query Nope!"}},
	{line: "inv pause -y $naps", says: []string{`\[OK\]: Paused 1 invocations`}},
	{line: "inv ls --status paused", says: []string{`$naps`, `$stops`}, waits: true},
	{line: "inv pause -y $naps", exit: 1, says: []string{`$naps is paused; pause only works on`}},
	{line: "inv resume -y $naps --deployment latest", says: []string{`\[OK\]: Resumed 1 invocations`}},
	{line: "inv get $naps", says: []string{`Status: +(running|suspended)`}, waits: true},
	{line: "inv resume -y $stumbles --deployment dp_10FKssRhrnJLD34KYzl6DM5", exit: 1, says: []string{`\[ERR\]: $stumbles: .*\n`, `Error: 1 of 1 invocation could not be changed`}},
	{line: "inv kill -y Desk/stumbles", says: []string{`$stumbles +Desk/stumbles`, `\[OK\]: Killed 1 invocations`}},
	{line: "inv get $stumbles", says: []string{`It failed: \[409\] killed`}, waits: true},
	{line: "inv cancel -y --service Clerk --key k1", says: []string{`$held +Clerk/k1/holds`, `$waits +Clerk/k1/holds`, `\[OK\]: Cancelled 2 invocations`}},
	{line: "inv get $held", says: []string{`completed with failure`}, waits: true},
	{line: "inv restart -y $breaks", says: []string{`\[OK\]: Restarted 1 invocations:`, `$breaks +inv_\w+`}, keep: `(?m)^ *inv_\w+ +(?P<again>inv_\w+) *$`},
	{line: "inv get $again", says: []string{`Invoked by: +a restart of $breaks`, `It failed`}, waits: true},
	{line: "inv restart -y $again --from 0", says: []string{`\[OK\]: Restarted 1 invocations:`}},
	{line: "inv restart -y $again --from 77", exit: 1, says: []string{`\[ERR\]: $again: `}},
	{line: "inv purge-journal -y $fine", says: []string{`\[OK\]: Purged the journals of 1 invocations`}},
	{line: "inv get $fine", says: []string{`It ended with success`}, not: []string{`Command: Output`}, waits: true},
	{line: "inv purge -y $fine", says: []string{`\[OK\]: Purged 1 invocations`}},
	{line: "inv get $fine", exit: 1, says: []string{"not found"}, waits: true},
	{line: "inv purge -y $naps", exit: 1, says: []string{`$naps is (running|suspended); purge only works on completed invocations`}},
	{line: "inv cancel", exit: 2, says: []string{"required arguments were not provided"}},

	{line: "state get Counter a", says: []string{`Service +Counter`, `count +5`}},
	{line: `state patch -y Counter a -p '[{"op":"replace","path":"/count","value":7}]'`, says: []string{`count +7`, `\[OK\]`}},
	{line: "state get Counter a --plain", says: []string{`^{"count":7}\n$`}, waits: true},
	{line: "state edit -y Counter a", edits: `s/7/8/`, says: []string{`count +8`, `\[OK\]`}},
	{line: "state get Counter a --plain", says: []string{`^{"count":8}\n$`}, waits: true},
	{line: `state patch -y -f --binary Counter a -p '[{"op":"add","path":"/raw","value":"AQI="}]'`, says: []string{`\[OK\]`}},
	{line: "state get Counter a", exit: 1, says: []string{"--binary"}, waits: true},
	{line: "state clear -y Counter/a", says: []string{`Counter/a +\[count, raw\]`, `\[OK\]`}},
	{line: "state get Counter a --plain", says: []string{`^{}\n$`}, waits: true},
	{line: "state clear -y Counter/a", exit: 1, says: []string{"no state found"}},
	{line: "state get Desk a", exit: 1, says: []string{"only virtual objects and workflows support state"}},

	{line: "sql 'select name, ty from sys_service order by name limit 2'", says: []string{`NAME +TY\n`, `Clerk +virtual_object`, `2 rows\. Query took`}},
	{line: "sql 'select nope from sys_service'", exit: 1, says: []string{`No field named nope`, `Http status code 500`}},
	{line: "dp rm -y $deskDP --force", says: []string{`\[OK\]`}},
	{line: "inv get $trip", says: []string{`$deskDP \[required\] \[removed\]`, `Its deployment was removed`}, waits: true},
	{line: "inv ls --zombie", says: []string{`$trip`}},
}

// Our own command line against a real server.
func TestInvocationCommands(t *testing.T) {
	form := newForm(t, "standalone")
	s := newSession(t, env.bins.Path("reprise"), form)
	s.register(t, form)
	fillDesk(t, form, s.names)
	s.play(t, invocationCommands)
}

// register registers the endpoints of a session and names their deployments.
func (s *session) register(t *testing.T, form *harness.Form) {
	t.Helper()
	c := harness.NewClient(form)
	t.Cleanup(c.Close)
	for _, name := range []string{"greeter", "desk"} {
		ok(t, c.Register(t.Context(), s.names[name+"URL"]))
	}
	s.play(t, []cliCase{{line: "dp ls", keep: `$deskURL/ +HTTP +(?P<deskDP>dp_\w+)`}, {line: "dp ls", keep: `$greeterURL/ +HTTP +(?P<greeterDP>dp_\w+)`}})
}

// Scripts depend on these: both command lines print the same, byte by byte, and end with the same code.
func TestSameAsRestateCLI(t *testing.T) {
	program := needRestateCLI(t)
	form := newForm(t, "standalone")
	ours := newSession(t, env.bins.Path("reprise"), form)
	ours.register(t, form)
	fillDesk(t, form, ours.names)
	theirs := &session{program: program, env: ours.env, home: ours.home, names: ours.names}
	ours.play(t, []cliCase{
		{line: `state patch -y Counter a --binary -p '[{"op":"add","path":"/o","value":"eyJiIjogMS41MCwgImEiOlsxZTMwXX0="}]'`},
		{line: "state get Counter a -p", says: []string{`"o"`}, waits: true},
	})
	for _, line := range []string{
		"state get Counter a --plain", "state get Counter a --plain --binary", "state get Counter none --plain", "state get Desk a", "state get Counter", "state clear -y Counter/none",
		"sql --json 'select * from sys_service order by name'", "sql --jsonl 'select * from sys_service order by name'", "sql 'select * from sys_service order by name'",
		"sql --json 'select * from sys_deployment order by id'", "sql 'select * from sys_deployment order by id'", "sql --table-style borders 'select name from sys_service order by name'",
		"sql --json 'select * from sys_invocation_status order by id'", "sql 'select * from sys_invocation_status order by id'", "sql --jsonl 'select * from sys_invocation_status order by id'",
		"sql --jsonl 'select * from sys_journal order by id, index'", "sql --json 'select * from state order by service_key, key'", "sql 'select * from state order by service_key, key'",
		"sql --json 'select 1.5 a, 1e30 b, 10000000000.5 c, 0.000001 d, null e, true f, date ''2026-01-02'' g'", "sql --json 'select 1 from sys_service where false'", "sql 'select 1 from sys_service where false'",
		"sql 'selec'", "sql 'select nope from sys_service'", "sql", "inv get $gone", "inv cancel -y Nope", "inv cancel", "inv purge -y $naps", "inv ls --status nope", "state patch -y Counter a -p nonsense", "nope",
	} {
		out, code, err := ours.output(t.Context(), line)
		ok(t, err)
		want, wantCode, err := theirs.output(t.Context(), line)
		ok(t, err)
		if out != want || code != wantCode {
			t.Errorf("%s: we end with %d:\n%s\nthey with %d:\n%s", line, code, out, wantCode, want)
		}
	}
}

// output runs the program and returns what it wrote on the standard output, and its exit code.
func (s *session) output(ctx context.Context, line string) (string, int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	stdout, _, code, err := s.run(ctx, cliCase{line: line})
	return stdout, code, err
}

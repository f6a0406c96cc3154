package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// pending are calls of Restate's command line that the server does not answer yet. Once it does, move them up into
// the groups of restateCLI. The flag -pending runs them all the same.
var pending = []cliCase{
	{line: "kc list", says: []string{"No Kafka clusters"}},
	{line: "kc create -y c1 bootstrap.servers=127.0.0.1:1", says: []string{`\[OK\]: Kafka cluster c1 created`}},
	{line: "kc create -y c1 bootstrap.servers=127.0.0.1:1", exit: 1, says: []string{"Http status code 409 Conflict"}},
	{line: "kc create -y c2 group.id=x", exit: 1, says: []string{"Http status code 400 Bad Request"}},
	{line: "kc list", says: []string{`c1 +127\.0\.0\.1:1 +1 `}},
	{line: "kc patch -y c1 --set client.id=me --set sasl.password=secret", says: []string{`\[OK\]`}},
	{line: "kc get c1", says: []string{`Name: +c1\b`, `Brokers: +127\.0\.0\.1:1`, `Subscriptions: +0`, `client\.id +me`, `sasl\.password +\*\*\*`}},
	{line: "kc edit -y c1", edits: `s/me/you/`, says: []string{`\[OK\]`}},
	{line: "kc get c1", says: []string{`client\.id +you`}},
	{line: "kc get nope", exit: 1, says: []string{"Http status code 404 Not Found"}},
	{line: "sub list", says: []string{"No subscriptions registered"}},
	{line: "sub create -y kafka://c1/t service://Greeter/Nope", exit: 1, says: []string{"META0009", "Http status code 400 Bad Request"}},
	{line: "sub create -y kafka://nope/t service://Greeter/Greet", exit: 1, says: []string{"Http status code 400 Bad Request"}},
	{line: "sub create -y kafka://c1/t service://Greeter/Greet", says: []string{`\[OK\]: Subscription sub_\w+ created`}, keep: `(?P<sub>sub_\w+) created`},
	{line: "sub list", says: []string{`$sub +kafka://c1/t +service://Greeter/Greet +1`}},
	{line: "sub list --source kafka://c1/other", says: []string{"No subscriptions"}},
	{line: "sub get $sub", says: []string{`kafka://c1/t`, `group\.id`}},
	{line: "kc rm -y c1", exit: 1, says: []string{`1 subscription\(s\) attached`}},
	{line: "sub rm -y $sub", says: []string{`\[OK\]`}},
	{line: "sub get $sub", exit: 1, says: []string{"Http status code 404 Not Found"}},
	{line: "kc rm -y c1", says: []string{`\[OK\]: Kafka cluster c1 deleted`}},
	{line: "rules set -y a/* --concurrency 5", says: []string{`\[OK\]: Created rule 'a/\*'`}},
	{line: "rules set -y a/* --concurrency 6 --description six", says: []string{`\[OK\]: Updated rule 'a/\*'`}},
	{line: "rules list -x", says: []string{`a/\* +6 +no +six `}},
	{line: "rules disable -y a/*", says: []string{`\[OK\]: Rule 'a/\*' disabled`}},
	{line: "rules list", says: []string{`a/\* +6 +yes`}},
	{line: "rules enable -y a/*", says: []string{`\[OK\]: Rule 'a/\*' enabled`}},
	{line: "rules delete -y a/*", says: []string{`\[OK\]: Deleted rule 'a/\*'`}},
	{line: "rules delete -y a/*", exit: 1, says: []string{`No rule found with pattern 'a/\*'`}},
}

// restateCLI is a user's session. It is in groups, and each depends on those before it.
var restateCLI = []struct {
	name  string
	cases []cliCase
}{
	{"connect", []cliCase{
		{line: "--version", says: []string{`^restate-cli 1\.7\.12`}},
		{line: "whoami", says: []string{`Admin base URL +$admin/`, `Admin Service '$admin/' is healthy!`, `Advertised ingress address +$ingress/`}},
	}},
	{"register", []cliCase{
		{line: "dp list", says: []string{"No deployments were found"}},
		{line: "svc list", says: []string{"No services were found"}},
		{line: "dp register $greeterURL", exit: 1, says: []string{"SERVICES THAT WILL BE ADDED", "User aborted"}},
		{line: "dp register -y $greeterURL", says: []string{`Counter\n +Type: VirtualObject`, `SlowGreet +JSON string +JSON string`, `\[OK\]: DEPLOYMENT`, `Greeter +1`}, keep: `Deployment ID: +(?P<greeterDP>dp_\w+)`},
		{line: "dp add --yes $deskURL --metadata by=test --extra-header x-desk=1", says: []string{`Clerk +1`, `Desk +1`, `Trip +1`}, keep: `Deployment ID: +(?P<deskDP>dp_\w+)`},
		{line: "dp add -y $deskURL", says: []string{`Deployment already exists with id $deskDP`, "No changes will be made"}},
		{line: "dp discover -y $greeterURL --force", says: []string{`Revision: 1 -> 2`, "DANGEROUS", `Greeter +2`}},
		{line: "dp register -y http://127.0.0.1:1", exit: 1, says: []string{"META0003", `Http status code 500 Internal Server Error at '$admin/v4/deployments'`}},
	}},
	{"deployments", []cliCase{
		{line: "dp ls", says: []string{`$deskURL/ +HTTP +$deskDP`, `$greeterURL/ +HTTP +$greeterDP`, `- Counter \[2\]`}},
		{line: "dp describe $deskDP", says: []string{`ID: +$deskDP`, `Transport: +HTTP/2\.0`, `Protocol Style: +Bidirectional Stream`, `Endpoint: +$deskURL/`,
			`SDK Version +restate-sdk-go/`, `Protocol: +\[5, 7\]`, `Trip\n +Type: Workflow workflow\n +Revision: 1 \[Latest\]`, `stumbles +JSON string`}},
		{line: "dp get dp_nope", exit: 1},
	}},
	{"services", []cliCase{
		{line: "svc list", says: []string{`\[public\] +Clerk +1 +virtual object +HTTP +$deskDP`, `\[public\] +Trip +1 +workflow`, `Counter +2 `}},
		{line: "services ls --extra --public-only", says: []string{`Desk +1 +HTTP +$deskDP +$deskURL/ +`}},
		{line: "svc describe Counter", says: []string{`Service type: +VirtualObject`, `Revision: +2`, `Public: +true`, `Deployment ID: +$greeterDP`, `Add +JSON integer +JSON integer`}},
		{line: "svc get Nope", exit: 1, says: []string{`<UNKNOWN> .*Nope`, `Http status code 404 Not Found at '$admin/v4/services/Nope'`}},
		{line: "svc config view Counter", says: []string{`Public: +true`, `Journal retention: +1d`, `Abort timeout: +10m`, `Max attempts: +70`, `On max attempts: +Pause`}},
		{line: "svc config patch -y Counter --journal-retention 2h --inactivity-timeout 30s", says: []string{`Journal retention: +2h`}},
		{line: "svc config view Counter", says: []string{`Journal retention: +2h`, `Inactivity timeout: +30s`}, waits: true},
		{line: "svc config edit -y Counter", edits: `s/^# *abort_timeout = .*/abort_timeout = "3m"/`, says: []string{`Abort timeout: +3m`}},
		{line: "svc config view Counter", says: []string{`Journal retention: +2h`, `Abort timeout: +3m`}, waits: true},
		{line: "svc config patch -y Counter --workflow-completion-retention 1h", exit: 1, says: []string{"Http status code 400 Bad Request"}},
	}},
	{"look", []cliCase{
		{line: "svc status", says: []string{`holds +1 .*1 `, `stumbles +.* 1 `, `stops .*$stops paused`, `Clerk \(1 active keys\)\n +k1 +1 +$held`}},
		{line: "svc status Clerk", says: []string{`holds +1 `, `Recent Invocations`, `$waits\n +Target: +Clerk/k1/holds\n +Status: +pending`, `Invoked by: +Desk/asks $asks`}},
		{line: "dp list --extra", says: []string{`$deskURL/ +HTTP +Active +4 +$deskDP`, `$greeterURL/ +HTTP +Active +0 `}},
		{line: "dp get --extra $deskDP", says: []string{`Status: +Active`, `Invocations: +4`, `holds .* 1\n`, `stops .* 0\n`}},
		{line: "inv list", says: []string{`$naps\n +Target: +Desk/naps\n +Status: +(running|suspended)`, `$waits\n`, `Showing 7/7 invocations\. Query took`}, not: []string{`$fine`}},
		{line: "inv ls --all", says: []string{`$fine\n +Target: +Desk/fine\n +Status: +completed with success`, `$breaks`, `Showing 10/10 invocations`}},
		{line: "inv ls --all --limit 2 --oldest-first", says: []string{`$fine\n`, `Showing 2/10\+ invocations`}},
		{line: "inv ls --status backing-off --service Desk", says: []string{`$stumbles`, `the drawer is stuck`, `Next retry`, `Showing 1/1`}},
		{line: "inv ls --status paused --deployment $deskDP", says: []string{`Showing 0/0`}}, // nothing stored: not pinned
		{line: "inv ls --handler fine --completion-result success", says: []string{`$fine`, `Showing 1/1`}},
		{line: "inv ls --completion-result failure", says: []string{`$breaks`, `Showing 1/1`}},
		{line: "inv ls --virtual-objects-only --key k1", says: []string{`$held`, `$waits`, `Showing 2/2`}},
		{line: "inv ls --zombie", says: []string{`Showing 0/0`}},
	}},
	{"describe", []cliCase{
		{line: "inv describe $naps", says: []string{`Target: +Desk/naps`, `Deployment: +$deskDP \[required\]`, `#0 .* Command: Input`, `#1 .* Command: Run \[lie down\]`, `#2 .* Notification: Run`, `#3 .* Command: Sleep \[long nap\] until .* left\)`, `└────>> (running|suspended)`}},
		{line: "inv get $stumbles", says: []string{`Status: +backing-off .*Retried 1 time\(s\)\. Next retry in in (5\d minutes|1 hour)`, `\[500 Internal\] the drawer is stuck`, `└────>> backing-off`}},
		{line: "inv get $stops", says: []string{`Status: +paused`, `└────>> paused`}},
		{line: "inv get $asks", says: []string{`#1 .* Command: Call Clerk/k1/holds $held\n`, `#2 .* Notification: CallInvocationId`}},
		{line: "inv get $held", says: []string{`Invoked by: +Desk/asks $asks`, `Command: SetState`}},
		{line: "inv get $trip", says: []string{`Target: +Trip/t1/run`, `Command: GetPromise key ticket`}},
		{line: "inv get $waits", says: []string{`Status: +pending`}},
		{line: "inv get $fine", says: []string{`Status: +completed with success`, `Command: Output`, `└────>> completed`}},
		{line: "inv get $breaks", says: []string{`Status: +completed with failure`, `Error: +\[500\] breaks broke`}},
		{line: "inv get $gone", exit: 1, says: []string{`Invocation $gone not found!`}},
		{line: "inv get nonsense", exit: 1, says: []string{`non valid invocation id`, `Http status code 500 Internal Server Error at '$admin/v4/query'`}},
	}},
	{"steer", []cliCase{
		{line: "inv cancel $naps", exit: 1, says: []string{`$naps +Desk/naps`, "User aborted"}},
		{line: "inv cancel -y Nope", exit: 1, says: []string{"No invocations found for query Nope!"}},
		{line: "inv pause -y $naps", says: []string{`\[OK\]: Paused 1 invocations`}},
		{line: "inv get $naps", says: []string{`Status: +paused`}, waits: true},
		{line: "inv resume -y $naps --deployment latest", says: []string{`\[OK\]: Resumed 1 invocations`}},
		{line: "inv get $naps", says: []string{`Status: +(running|suspended)`}, waits: true},
		{line: "inv resume -y $fine", exit: 1, says: []string{"No invocations found"}},
		{line: "inv resume -y Desk/stops", says: []string{`\[OK\]: Resumed 1 invocations`}},
		{line: "inv get $stops", says: []string{`Status: +paused`}, waits: true}, // it fails again
		{line: "inv kill -y Desk/stumbles", says: []string{`$stumbles +Desk/stumbles`, `\[OK\]: Killed 1 invocations`}},
		{line: "inv get $stumbles", says: []string{`Error: +\[409\] killed`}, waits: true},
		{line: "inv cancel -y Clerk/k1", says: []string{`$held +Clerk/k1/holds`, `$waits +Clerk/k1/holds`, `\[OK\]: Cancelled 2 invocations`}},
		{line: "inv get $held", says: []string{`completed with failure`, `\[409\]`}, waits: true},
		{line: "inv cancel -y --kill $stops", says: []string{`\[OK\]: Killed 1 invocations`}},
		{line: "inv restart-as-new -y $breaks", says: []string{`\[OK\]: Restarted 1 invocations`, `$breaks +inv_\w+`}, keep: `(?m)^ *inv_\w+ +(?P<again>inv_\w+) *$`},
		{line: "inv get $again", says: []string{`Target: +Desk/breaks`, `completed with failure`}, waits: true},
		{line: "inv purge -y $fine", says: []string{`\[OK\]: Purged 1 invocations`}},
		{line: "inv get $fine", exit: 1, says: []string{"not found!"}, waits: true},
		{line: "inv rm -y Desk/breaks --limit 1", says: []string{`\[OK\]: Purged 1 invocations`}},
		{line: "inv purge -y $naps", exit: 1, says: []string{"only works on completed invocations"}},
		{line: "inv cancel", exit: 2, says: []string{"required arguments were not provided"}},
	}},
	{"state", []cliCase{
		{line: "state get Counter a", says: []string{`Service +Counter`, `count +5`}},
		{line: "kv get Counter a -p", says: []string{`^{"count":5}\n$`}},
		{line: "state get Counter a --plain --binary", says: []string{`^{"count":"NQ=="}\n$`}},
		{line: "state get Counter none --plain", says: []string{`^{}\n$`}},
		{line: "state get Desk a", exit: 1, says: []string{"Only virtual objects and workflows support state"}},
		{line: `state patch -y Counter a -p '[{"op":"replace","path":"/count","value":7}]'`, says: []string{`count +7`, "Successfully submitted"}},
		{line: "state get Counter a --plain", says: []string{`^{"count":7}\n$`}, waits: true},
		{line: "state edit -y Counter a", edits: `s/7/8/`, says: []string{`count +8`, "Successfully submitted"}},
		{line: "state get Counter a --plain", says: []string{`^{"count":8}\n$`}, waits: true},
		{line: `state patch -y -f --binary Counter a -p '[{"op":"add","path":"/raw","value":"AQI="}]'`, says: []string{"Successfully submitted"}},
		{line: "state get Counter a --plain --binary", says: []string{`"raw":"AQI="`, `"count":"OA=="`}, waits: true},
		{line: "state clear -y Counter/a", says: []string{`Counter/a +\[(count|raw), (count|raw)\]`, "Enqueued successfully"}},
		{line: "state get Counter a --plain", says: []string{`^{}\n$`}, waits: true},
		{line: "state clear -y Counter/a", exit: 1, says: []string{"No state found!"}},
		{line: "state clear -y -f Clerk", says: []string{`Clerk/k1 +\[`, "Enqueued successfully"}},
	}},
	{"sql", []cliCase{
		{line: "sql 'select name, ty from sys_service order by name limit 2'", says: []string{`NAME +TY\s`, `Clerk +virtual_object`, `2 rows\. Query took`}},
		{line: "-q sql --json 'select name, revision, public from sys_service order by name limit 2'", says: []string{`^\[{"name":"Clerk","revision":1,"public":true},{"name":"Counter","revision":2,"public":true}\]`}},
		{line: "sql --jsonl 'select name from sys_service order by name limit 2'", says: []string{`^{"name":"Clerk"}\n{"name":"Counter"}\n`}},
		{line: "sql --json 'select 1 from sys_service where false'", says: []string{`^\[\]`}},
		{line: "sql 'selec'", exit: 1, says: []string{`SQL error: ParserError`, `Http status code 400 Bad Request at '$admin/v4/query'`}},
		{line: "sql 'select nope from sys_service'", exit: 1, says: []string{`No field named nope`}},
	}},
	{"rules", []cliCase{
		{line: "rules list", says: []string{"No rules defined"}},
		{line: "vqueues list", says: []string{"No virtual queues found"}},
		{line: "vq ls --limit 3", says: []string{"No virtual queues found"}},
	}},
	{"local", []cliCase{
		{line: "config list-env", says: []string{`\* +local +http://127\.0\.0\.1:9070/`}},
		{line: "config view", says: []string{`config\.toml`}},
		{line: "config use-env local", says: []string{`\[OK\]: Updated .* to local`}},
		{line: "completions generate bash", says: []string{`_restate\(\)`}},
		{line: "nope", exit: 2, says: []string{`unrecognized subcommand 'nope'`}},
	}},
	{"remove", []cliCase{
		{line: "dp rm -y $greeterDP", exit: 1, says: []string{"still Active", "use --force"}},
		{line: "dp rm -y $greeterDP --force", says: []string{`\[OK\]: Deployment $greeterDP removed successfully`}},
		{line: "svc get Greeter", exit: 1, says: []string{"404 Not Found"}, waits: true},
		{line: "dp rm -y $deskDP", exit: 1, says: []string{`Invocations: +2`}},
	}},
}

// Restate's own command line, unmodified, works against the server: each of its commands that needs neither the
// hosted service nor a terminal (-w, cloud, example and dev do).
func TestRestateCLI(t *testing.T) {
	program := needRestateCLI(t)
	form := newForm(t, "standalone")
	s := newSession(t, program, form)
	for _, group := range restateCLI {
		if group.name == "look" {
			fillDesk(t, form, s.names)
		}
		if !t.Run(group.name, func(t *testing.T) { s.play(t, group.cases) }) {
			return // what follows would fail, too
		}
	}
	t.Run("pending", func(t *testing.T) {
		if !*pendingFlag {
			t.Skipf("%d calls that the server does not answer yet; -pending runs them", len(pending))
		}
		s.play(t, append([]cliCase{{line: "dp register -y $greeterURL", says: []string{"DEPLOYMENT"}}}, pending...))
	})
}

// needRestateCLI returns the program, as scripts/typescript installs it; in CI it has to be there.
func needRestateCLI(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("../node_modules/.bin/restate")
	ok(t, err)
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the Restate command line is not installed; run scripts/typescript")
		}
		t.Skip("the Restate command line is not installed: npm is missing, or scripts/typescript did not run (make test runs it)")
	}
	return program
}

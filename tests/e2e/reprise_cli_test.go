package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// firstCommands are those of an empty server, registering, services and their settings, and what needs no server.
var firstCommands = []cliCase{
	{line: "-V", says: []string{`^reprise \d`}},
	{line: "who", says: []string{`Admin URL: +$admin`, `Admin Service '$admin' is healthy!`, `Advertised ingress: $ingress`}},
	{line: "dp ls", says: []string{"No deployments were found"}},
	{line: "svc ls", says: []string{"No services were found"}},
	{line: "dp register $greeterURL", exit: 1, says: []string{"SERVICES THAT WILL BE ADDED", "--yes"}},
	{line: "dp register -y $greeterURL", says: []string{`- Counter\n +Type: VirtualObject virtual object`, `SlowGreet +JSON string +JSON string`, `\[OK\]: DEPLOYMENT:\nDeployment ID:  dp_`,
		`\n SERVICE  REV\n Counter  1\n Greeter  1`}, keep: `Deployment ID:  (?P<greeterDP>dp_\w+)`},
	{line: "dp add --yes $deskURL --metadata by=test --extra-header x-desk=1", says: []string{`Clerk +1`, `Trip +1`}, keep: `Deployment ID:  (?P<deskDP>dp_\w+)`},
	{line: "dp add $deskURL -y", says: []string{`already exists with id $deskDP`, `No changes will be made`}},
	{line: "dp disc $greeterURL -y --force", says: []string{`WARNING`, `SERVICES THAT WILL BE UPDATED`, `Revision: 1 -> 2`, `Greeter +2`}},
	{line: "dp add -y http://127.0.0.1:1", exit: 1, says: []string{"META0003", "Http status code 500 Internal Server Error at '$admin/v4/deployments'", "must reach the deployment"}},
	{line: "deployment list --extra", says: []string{`$deskURL/ +HTTP +Active +0 +$deskDP`, `- Counter \[2\]`}},
	{line: "dp ls --json", says: []string{`^{`, `"id": "$deskDP"`, `"additional_headers"`}},
	{line: "dp get $deskDP", says: []string{`Endpoint: +$deskURL/`, `Protocol: +\[5, \d\]`, `by: +test`, `x-desk: 1`, `Trip\n +Type: Workflow workflow\n +Revision: 1 \[Latest\]`}},
	{line: "dp get dp_nope", exit: 1, says: []string{`reprise deployments list`}},
	{line: "svc ls --extra", says: []string{`\[public\] +Counter +2 +virtual object +HTTP +$greeterDP +$greeterURL/ +Add\n +Get`}},
	{line: "svc get Counter", says: []string{`Service type: +VirtualObject`, `Revision: +2`, `Add +Exclusive +JSON integer`}},
	{line: "svc get Nope", exit: 1, says: []string{"404 Not Found", "reprise services list"}},
	{line: "svc config view Counter", says: []string{`Public: +true`, `Journal retention: +1d`, `Abort timeout: +10m`, `Max attempts: +70`, `On max attempts: +Pause`}},
	{line: "svc config patch Counter --public false --journal-retention 2h -y", says: []string{`Journal retention: +2h`, `\[OK\]`}},
	{line: "svc config view Counter", says: []string{`Public: +false`, `Journal retention: +2h`}, waits: true},
	{line: "svc config edit Counter -y", edits: `s/^public = false/public = true/`, says: []string{`Public: +true`, `\[OK\]`}, not: []string{`Journal retention`}},
	{line: "svc config view Counter --json", says: []string{`"public": true`}, waits: true},
	{line: "svc config patch Counter --abort-timeout soon -y", exit: 1, says: []string{"422", "reprise services config view Counter"}},
	{line: "svc config patch Counter --workflow-completion-retention 1h -y", exit: 1, says: []string{"400 Bad Request"}},
	{line: "rules list", says: []string{"No rules defined"}},
	{line: "rules enable none", exit: 1, says: []string{"no rule found"}},
	{line: "config list-env", says: []string{`\* +local`}},
	{line: "config edit", edits: `$a [far]\nadmin_base_url = "http://127.0.0.1:1/"`, says: []string{`\[OK\]`}},
	{line: "config view", says: []string{`\[far\]`}},
	{line: "config use-env far", says: []string{`\[OK\]`}},
	{line: "config list-env", says: []string{`\* +far +http://127\.0\.0\.1:1/`}},
	{line: "config use-env local", says: []string{`\[OK\]`}},
	{line: "comp gen bash", says: []string{`^# Completions`, `complete .*-F _reprise reprise`}},
	{line: "comp install fish", says: []string{`\[OK\]: fish completions installed`}},
	{line: "dp ls -w -n x", exit: 2, says: []string{"invalid value"}},
	{line: "dp ls -y x", exit: 2, says: []string{"unexpected argument"}},
	{line: "nonsense", exit: 2, says: []string{"unrecognized subcommand"}},
}

// busyCommands look at services and deployments of a full desk, and replace one of the deployments.
var busyCommands = []cliCase{
	{line: "svc status", says: []string{`PENDING +SCHEDULED`, `stumbles +- +- +- +- +1 +- +- +$stumbles backing-off`, `stops +- +- +- +- +- +- +1 +$stops paused`, `Clerk \(1 active keys\)\n +k1 +1 +$held`}},
	{line: "svc stat Clerk --locked-key-held-threshold-second 0", says: []string{`It has been (running|suspended) for`, `Recent Invocations`, `$waits +Clerk/k1/holds +pending`}},
	{line: "svc status Nope", exit: 1, says: []string{"404 Not Found"}},
	{line: "dp ls --extra", says: []string{`$deskURL/ +HTTP +Active +4 +$deskDP`, `$greeterURL/ +HTTP +Active +0 `}},
	{line: "dp get $deskDP --extra", says: []string{`Status: +Active`, `Invocations: +4`, `holds .* 1\n`, `stops .* 0\n`}},
	{line: "dp rm $deskDP -y", exit: 1, says: []string{`Status: +Active`, `Invocations: +4`, `--force`}},
	{line: "dp add $againURL -y", says: []string{`SERVICES THAT WILL BE UPDATED`, `Old Deployment: $deskURL/ \(at $deskDP\)`}, keep: `Deployment ID:  (?P<againDP>dp_\w+)`},
	{line: "dp ls --extra", says: []string{`Draining +4 +$deskDP`, `Active +0 +$againDP`}},
	{line: "dp get $deskDP --extra", says: []string{`Status: +Draining`, `Latest is revision 2 in $againDP`}},
	{line: "svc get Clerk", says: []string{`Older Revisions`, `$deskURL/ +HTTP +1 +4 +$deskDP`}},
	{line: "dp rm $deskDP -y", exit: 1, says: []string{`is Draining: 4 invocations`, `invocations list --deployment $deskDP`}},
	{line: "inv kill -y Desk", says: []string{`\[OK\]`}},
	{line: "inv kill -y Clerk", says: []string{`\[OK\]`}},
	{line: "inv kill -y Trip", says: []string{`\[OK\]`}},
	{line: "dp ls --extra", says: []string{`Drained +0 +$deskDP`}, waits: true},
	{line: "dp rm $deskDP", exit: 1, says: []string{`fully drained`, `--yes`}},
	{line: "dp rm $deskDP -y", says: []string{`fully drained`, `\[OK\]: Deployment $deskDP removed`}},
	{line: "dp ls", says: []string{`$againDP`}, not: []string{`$deskDP`}},
}

// A session at our command line, from an empty server on.
func TestRepriseCommands(t *testing.T) {
	form := newForm(t, "standalone")
	s := newSession(t, env.bins.Path("reprise"), form)
	again, err := harness.Serve(desk()...)
	ok(t, err)
	t.Cleanup(again.Close)
	s.names["againURL"] = again.URI
	s.play(t, firstCommands)
	fillDesk(t, form, s.names)
	s.play(t, busyCommands)
}

// output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the output matches and returns the groups.
func (o *output) await(t *testing.T, re *regexp.Regexp) (m []string) {
	t.Helper()
	err := harness.Wait(t.Context(), time.Minute, re.String(), func(context.Context) error {
		if m = re.FindStringSubmatch(o.String()); m == nil {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v in\n%s", err, o)
	}
	return m
}

// `reprise dev` runs a server, registers a service that can be called, and is gone after an interrupt.
func TestRepriseDev(t *testing.T) {
	endpoint, err := harness.Serve(desk()...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	var out output
	cmd := exec.CommandContext(t.Context(), env.bins.Path("reprise"), "dev", "-r", "--deployment", endpoint.URI)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &out, &out
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	ok(t, cmd.Start())
	ended := false
	t.Cleanup(func() {
		if !ended { // the test has failed, and its context has ended
			_ = cmd.Wait()
		}
	})
	out.await(t, regexp.MustCompile(`is deployment dp_`))
	ingress := out.await(t, regexp.MustCompile(`Ingress: +(\S+)`))[1]
	dir := out.await(t, regexp.MustCompile(`Data: +(\S+)`))[1]
	client := harness.NewClient(&harness.Form{Ingress: ingress})
	defer client.Close()
	var got string
	ok(t, client.Call(t.Context(), "Desk/fine", "you", &got))
	if got != "fine, you" {
		t.Errorf("the service answers %q", got)
	}
	ok(t, cmd.Process.Signal(syscall.SIGINT))
	ended = true
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v\n%s", err, &out)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
}

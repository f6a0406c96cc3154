package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// The quickstart of the README works as it is printed, but for ports and folders: its commands are
// taken from the text, one after the other, and what it says that they print is compared.
func TestQuickstart(t *testing.T) {
	root, err := harness.Root()
	ok(t, err)
	form, err := harness.NewStandalone(env.bins, env.ports, t.TempDir())
	ok(t, err)
	t.Cleanup(func() { ok(t, form.Stop()) })
	server := form.Processes[0]
	greeterAddr, err := env.ports.Take()
	ok(t, err)
	replace := strings.NewReplacer(
		"localhost:8080", strings.TrimPrefix(form.Ingress, "http://"),
		"localhost:9080", greeterAddr,
		"bin/reprise ", env.bins.Path("reprise")+" ",
	)
	killed := false
	for _, c := range readCommands(t, filepath.Join(root, "README.md"), "Quickstart") {
		switch {
		case c.line == "make run":
			ok(t, server.Restart(t.Context()))
		case strings.HasPrefix(c.line, "go run ./tests/e2e/greeter"):
			startGreeter(t, root, greeterAddr)
		case strings.HasPrefix(c.line, "kill -9 "):
			ok(t, server.Kill())
			killed = true
		default:
			out, err := shell(t.Context(), root, replace.Replace(c.line), "RESTATE_ADMIN_URL="+form.Admin)
			if err != nil {
				t.Fatalf("%s: %v\n%s", c.line, err, out)
			}
			if !c.prints.MatchString(strings.TrimSpace(out)) {
				t.Errorf("%s\nprints %s\nthe README says %s", c.line, out, c.says)
			}
		}
	}
	if !killed {
		t.Error("the quickstart kills nothing")
	}
}

// readme is a command of the README and what it says that it prints, with "..." for anything.
type readme struct {
	line, says string
	prints     *regexp.Regexp
}

// readCommands reads the shell blocks of a section.
func readCommands(t *testing.T, path, title string) []readme {
	t.Helper()
	text, err := os.ReadFile(path)
	ok(t, err)
	_, section, found := strings.Cut(string(text), "\n## "+title+"\n")
	if !found {
		t.Fatalf("the README has no section %s", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []readme
	inside := false
	for line := range strings.SplitSeq(section, "\n") {
		says, isOutput := strings.CutPrefix(line, "# ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case !inside:
		case isOutput:
			last := &commands[len(commands)-1]
			last.says = says
			last.prints = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(says), `\.\.\.`, ".*") + "$")
		default:
			commands = append(commands, readme{line: line, prints: regexp.MustCompile("")})
		}
	}
	if len(commands) == 0 {
		t.Fatalf("the section %s has no commands", title)
	}
	return commands
}

// The commands that the README shows for looking at a server work as they are printed.
func TestReadmeSteers(t *testing.T) {
	root, err := harness.Root()
	ok(t, err)
	form := newForm(t, "standalone")
	greeter, err := env.ports.Take()
	ok(t, err)
	startGreeter(t, root, greeter)
	client := harness.NewClient(form)
	t.Cleanup(client.Close)
	inv := ""
	for _, c := range readCommands(t, filepath.Join(root, "README.md"), "See and steer") {
		if strings.Contains(c.line, "reprise dev") {
			continue // see TestRepriseDev
		}
		line := strings.NewReplacer("localhost:9080", greeter, "inv_...", inv, "bin/reprise ", env.bins.Path("reprise")+" ").Replace(c.line)
		out, err := shell(t.Context(), root, line, "RESTATE_ADMIN_URL="+form.Admin)
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		if inv == "" { // the first line has registered the service
			inv, err = client.Send(t.Context(), "Greeter/SlowGreet", "World")
			ok(t, err)
		}
	}
}

func shell(ctx context.Context, dir, line string, settings ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", strings.Replace(line, "curl ", "curl -sS --fail-with-body ", 1))
	c.Dir, c.Env = dir, append(os.Environ(), settings...)
	out, err := c.CombinedOutput()
	return string(out), err
}

func startGreeter(t *testing.T, root, addr string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "greeter")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./tests/e2e/greeter")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := harness.NewProcess(harness.Spec{
		Name: "greeter", Path: program, Args: []string{"-listen", addr}, Dir: t.TempDir(), Addrs: []string{addr},
	})
	ok(t, p.Start())
	t.Cleanup(func() { ok(t, p.Stop()) })
	ok(t, p.WaitListening(t.Context()))
}

// The cluster of the README works as it is printed, but for ports, and for how often it is called: nodes in processes of their own, of
// which one is killed and started again, and the counter misses nothing. When it is told to stop, all of them end.
func TestThreeNodesOfTheReadme(t *testing.T) {
	root, err := harness.Root()
	ok(t, err)
	greeter, err := env.ports.Take()
	ok(t, err)
	startGreeter(t, root, greeter)
	dir := t.TempDir()
	ingress, admin, fabric := spaced(t), spaced(t), spaced(t)
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	nodes := harness.NewProcess(harness.Spec{
		Name: "cluster", Path: env.bins.Path("reprise-standalone"), Args: []string{"--nodes", "3"}, Dir: dir,
		Env: []string{
			"RESTATE_INGRESS__BIND_ADDRESS=" + ingress, "RESTATE_ADMIN__BIND_ADDRESS=" + admin, "RESTATE_BIND_ADDRESS=" + fabric,
			"RESTATE_METADATA_SERVER__PEER_PORT=" + port(spaced(t)), "RESTATE_METADATA_SERVER__CLIENT_PORT=" + port(spaced(t)),
		},
		Ready: []string{"http://" + admin + "/health", "http://" + ingress + "/restate/health"},
	})
	t.Cleanup(func() { ok(t, nodes.Stop()) })
	n := newOperator(t, fabric)
	replace := strings.NewReplacer(
		"localhost:8080", ingress, "localhost:9080", greeter, "bin/reprise ", env.bins.Path("reprise")+" ",
		"bin/reprisectl ", env.bins.Path("reprisectl")+" ", "while true; do ", "", "; echo; sleep 0.1; done", "",
	)
	calls, killed := 0, false
	call := func(line string) {
		t.Helper()
		calls++
		if out, err := shell(t.Context(), dir, line); err != nil || strings.TrimSpace(out) != strconv.Itoa(calls) {
			t.Errorf("call %d: %s %v", calls, out, err)
		}
	}
	again := ""
	for _, c := range readCommands(t, filepath.Join(root, "README.md"), "Three nodes") {
		line := replace.Replace(c.line)
		switch {
		case c.line == "make cluster":
			ok(t, nodes.Restart(t.Context()))
			n.waits("status", 0, ` node-1 +\d+s +Member `, ` node-2 +\d+s +Member `, ` node-3 +\d+s +Member `)
		case strings.HasPrefix(c.line, "while true; do "):
			again = line
			call(again)
		case strings.HasPrefix(c.line, "kill -9 "):
			killed = true
			fallthrough
		default:
			if out, err := shell(t.Context(), dir, line, "RESTATE_ADMIN_URL=http://"+admin, "RESTATECTL_ADDRESS="+fabric); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if !killed {
		t.Fatal("it kills nothing")
	}
	for range 10 {
		call(again)
	}
	n.waits("status", 0, ` N\d:2 +node-2 +\d+s +Member `)
	call(again)
	pids, err := filepath.Glob(filepath.Join(dir, "reprise-cluster", "*.pid"))
	ok(t, err)
	if len(pids) != 3 {
		t.Errorf("pids are in %v", pids)
	}
	ok(t, nodes.Stop())
	for _, file := range pids {
		if out, err := shell(t.Context(), dir, "kill -0 $(cat "+file+")"); err == nil {
			t.Errorf("the process of %s is still there: %s", file, out)
		}
	}
}

// spaced is an address whose port is free, and so are those that are 100 and 200 above it.
func spaced(t *testing.T) string {
	t.Helper()
	for {
		addr, err := env.ports.Take()
		ok(t, err)
		host, text, err := net.SplitHostPort(addr)
		ok(t, err)
		first, err := strconv.Atoi(text)
		ok(t, err)
		free := true
		for _, more := range []int{100, 200} {
			ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(first+more)))
			if free = free && err == nil; err == nil {
				ok(t, ln.Close())
			}
		}
		if free {
			return addr
		}
	}
}

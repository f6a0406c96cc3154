package command_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/datadriven"

	"reprise/pkg/admin"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/registry"
	"reprise/pkg/registry/registrytest"
	"reprise/pkg/schema"
	"reprise/services/reprise/command"
)

// world is a server with an empty registry, an endpoint, and a user with an environment.
type world struct {
	t        *testing.T
	server   *httptest.Server
	endpoint *httptest.Server
	manifest atomic.Value // string
	real     http.Handler // of the server
	clock    *hosttest.Clock
	vars     map[string]string
	input    string
	terminal bool
	ids      []string // of deployments, as they were registered: ID0, ID1, ...

	mu      sync.Mutex // guards what follows
	seen    []string   // requests to the server
	answers map[string]answer
	rows    []rowSet
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: hosttest.NewClock(), answers: map[string]answer{}}
	w.manifest.Store("")
	w.endpoint = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/vnd.restate.endpointmanifest.v4+json")
		rw.Header().Set("X-Restate-Server", "test/1")
		m := w.manifest.Load().(string)
		if m == "" {
			rw.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(rw, m)
	}))
	t.Cleanup(w.endpoint.Close)
	h := hosttest.New(w.clock, 1)
	store := registrytest.New(schema.Default())
	reg, err := registry.New(registry.Default(), store, store, h)
	if err != nil {
		t.Fatal(err)
	}
	cfg := admin.Default()
	cfg.IngressEndpoint = func() string { return "http://ingress:8080/" }
	s, err := admin.New(cfg, reg, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	w.real = s.Handler()
	w.server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.server.Close)
	w.vars = map[string]string{"RESTATE_EDITOR": "false", "RESTATE_ADMIN_URL": w.server.URL, "RESTATE_CLI_CONFIG_HOME": t.TempDir()}
	t.Chdir(t.TempDir()) // no .env of ours
	return w
}

// run is one command, printed with what it wrote and its exit code.
func (w *world) run(line string) string {
	line = strings.ReplaceAll(line, "ENDPOINT", w.endpoint.URL)
	for i, id := range w.ids {
		line = strings.ReplaceAll(line, fmt.Sprintf("ID%d", i), id)
	}
	text, errText, code := w.command(line)
	text = strings.ReplaceAll(text, "\x1b", "ESC")
	if m := regexp.MustCompile(`Deployment ID:  (dp_\w+)`).FindStringSubmatch(text); m != nil && !slices.Contains(w.ids, m[1]) && strings.Contains(text, "[OK]") {
		w.ids = append(w.ids, m[1])
	}
	if errText != "" {
		text += "--- stderr\n" + errText
	}
	return w.hide(text + fmt.Sprintf("--- exit %d\n", code))
}

// command runs one, and returns what it wrote and its exit code.
func (w *world) command(line string) (out, errOut string, code int) {
	var o, e strings.Builder
	code = command.Run(w.t.Context(), words(w.t, line), command.Env{
		In: strings.NewReader(w.input), Out: &o, Err: &e, Terminal: w.terminal, Clock: w.clock,
		Lookup: func(name string) (string, bool) { v, ok := w.vars[name]; return v, ok },
	})
	return o.String(), e.String(), code
}

// hide replaces what differs between runs and machines, and makes empty lines visible.
func (w *world) hide(text string) string {
	text = strings.NewReplacer(
		w.endpoint.URL, "http://endpoint:9080", w.server.URL, "http://server:9070",
		w.vars["RESTATE_CLI_CONFIG_HOME"], "HOME", runtime.GOOS+"/"+runtime.GOARCH+" by "+runtime.Version(), "SYSTEM",
	).Replace(text)
	// How wide a column is depends on the ports; see TestTable.
	text = regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
	text = regexp.MustCompile(`([─═╌])+`).ReplaceAllString(text, "$1")
	text = regexp.MustCompile(` +\n`).ReplaceAllString(text, "\n")
	text = regexp.MustCompile(`editor "[^"]*"`).ReplaceAllString(text, "editor ...")
	text = regexp.MustCompile(`dial tcp .*`).ReplaceAllString(text, "dial tcp ...")
	return regexp.MustCompile(`(?m)^\n`).ReplaceAllString(text, ".\n")
}

// editor makes a program that writes text into a file.
func editor(t *testing.T, text string, status int) string {
	t.Helper()
	dir := t.TempDir()
	left, program := filepath.Join(dir, "text"), filepath.Join(dir, "editor")
	if err := os.WriteFile(left, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\ncp %s \"$1\"\nexit %d\n", left, status)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return program
}

func TestCommands(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var w *world
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				if w == nil {
					w = newWorld(t)
				}
				switch d.Cmd {
				case "endpoint": // what the endpoint offers from now on; nothing: it answers 404
					w.manifest.Store(strings.TrimSpace(d.Input))
				case "env":
					for _, a := range d.CmdArgs {
						w.vars[a.Key] = strings.Join(a.Vals, ",")
					}
				case "input": // what the user types
					w.input = d.Input
				case "terminal": // from now on, or no longer
					w.terminal = !w.terminal
				case "answer": // <METHOD> <path> [status=N], body: what the server answers from now on
					status, method := http.StatusOK, []string{}
					for _, a := range d.CmdArgs {
						if a.Key == "status" {
							a.Scan(t, 0, &status)
							continue
						}
						method = append(method, a.String())
					}
					key, a := parseAnswer(t, method, status, d.Input)
					w.answers[key] = a
				case "file": // <name>, in the working directory
					if err := os.WriteFile(d.CmdArgs[0].Key, []byte(d.Input), 0o600); err != nil {
						t.Fatal(err)
					}
				case "editor": // what the user's editor leaves in the file, and its exit code
					status := 0
					d.MaybeScanArgs(t, "status", &status)
					w.vars["RESTATE_EDITOR"] = editor(t, d.Input, status)
				case "rows": // a part of a statement, then a row a line: what /query answers to it from now on
					w.rows = append(w.rows, parseRows(t, d.Input))
				case "requests":
					text := strings.Join(w.seen, "\n") + "\n"
					w.seen = nil
					return w.hide(text)
				case "reprise":
					return w.run(d.Input)
				default:
					t.Fatalf("unknown command %s", d.Cmd)
				}
				return ""
			})
		})
	}
}

package command_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/datadriven"

	"reprise/pkg/admin"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/registry"
	"reprise/pkg/registry/registrytest"
	"reprise/services/reprise/command"
)

// world is a server with an empty registry, an endpoint, and a user with an environment.
type world struct {
	t        *testing.T
	server   *httptest.Server
	endpoint *httptest.Server
	manifest atomic.Value // string
	seen     []string     // requests to the server
	vars     map[string]string
	input    string
	ids      []string // of deployments, as they were registered: ID0, ID1, ...
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
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
	h := hosttest.New(hosttest.NewClock(), 1)
	store := registrytest.New(registry.Default().Defaults)
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
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.seen = append(w.seen, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization"))
		s.Handler().ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	w.vars = map[string]string{"RESTATE_ADMIN_URL": w.server.URL, "RESTATE_CLI_CONFIG_HOME": t.TempDir()}
	t.Chdir(t.TempDir()) // no .env of ours
	return w
}

// run is one command, printed with what it wrote and its exit code.
func (w *world) run(line string) string {
	line = strings.ReplaceAll(line, "ENDPOINT", w.endpoint.URL)
	for i, id := range w.ids {
		line = strings.ReplaceAll(line, fmt.Sprintf("ID%d", i), id)
	}
	var out, errOut strings.Builder
	code := command.Run(w.t.Context(), strings.Fields(line), command.Env{
		In: strings.NewReader(w.input), Out: &out, Err: &errOut,
		Lookup: func(name string) (string, bool) { v, ok := w.vars[name]; return v, ok },
	})
	text := out.String()
	if m := regexp.MustCompile(`Deployment ID:  (dp_\w+)`).FindStringSubmatch(text); m != nil && !slices.Contains(w.ids, m[1]) && strings.Contains(text, "[OK]") {
		w.ids = append(w.ids, m[1])
	}
	if errOut.Len() > 0 {
		text += "--- stderr\n" + errOut.String()
	}
	return w.hide(text + fmt.Sprintf("--- exit %d\n", code))
}

// hide replaces what differs between runs and machines, and makes empty lines visible.
func (w *world) hide(text string) string {
	text = strings.NewReplacer(
		w.endpoint.URL, "http://endpoint:9080", w.server.URL, "http://server:9070",
		w.vars["RESTATE_CLI_CONFIG_HOME"], "HOME", runtime.GOOS+"/"+runtime.GOARCH+" by "+runtime.Version(), "SYSTEM",
	).Replace(text)
	// How wide a column is depends on the ports; see TestTable.
	text = regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
	text = regexp.MustCompile(`-{4,}`).ReplaceAllString(text, "----")
	text = regexp.MustCompile(`dial tcp .*`).ReplaceAllString(text, "dial tcp ...")
	return strings.ReplaceAll(text, "\n\n", "\n.\n")
}

func TestCommands(t *testing.T) {
	for _, file := range []string{"testdata/deployments", "testdata/services", "testdata/usage"} {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
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

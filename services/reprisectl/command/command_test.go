package command_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reprise/services/reprisectl/command"
)

func TestRun(t *testing.T) {
	alive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/health" {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		_, _ = w.Write([]byte(`{"status":"Alive","node_id":"N1:2"}`))
	}))
	defer alive.Close()
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "starting", http.StatusServiceUnavailable)
	}))
	defer ill.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, row := range []struct {
		args     string
		code     int
		out, err string // part of what is printed
	}{
		{"version", 0, "reprisectl 0", ""},
		{"health --address " + alive.URL, 0, `{"status":"Alive","node_id":"N1:2"}`, ""},
		{"he -s " + strings.TrimPrefix(alive.URL, "http://"), 0, "N1:2", ""},
		{"health --address " + ill.URL, 1, "", "503 Service Unavailable starting"},
		{"health --address " + gone.URL, 1, "", "does not answer"},
		{"health --nope", 2, "", "-nope"},
		{"storage shrink", 2, "", "unrecognized subcommand 'shrink'"},
		{"", 0, "health", ""},
	} {
		var out, errOut strings.Builder
		code := command.Run(t.Context(), strings.Fields(row.args), command.Env{Out: &out, Err: &errOut})
		if code != row.code || !strings.Contains(out.String(), row.out) || !strings.Contains(errOut.String(), row.err) || row.err == "" && errOut.String() != "" {
			t.Errorf("%q: exit %d, out %q, err %q", row.args, code, out.String(), errOut.String())
		}
	}
}

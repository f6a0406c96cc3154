package command_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"reprise/pkg/host/hosttest"
	"reprise/services/reprise/command"
)

// crowd is a server with many invocations that can be changed. It answers like the real one, as far as that goes.
type crowd struct {
	t     *testing.T
	ids   []string
	fail  int   // the batch with this number is answered with an error, from 1 on
	sizes []int // of the batches that came
}

func (s *crowd) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	rw.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/version":
		_, _ = io.WriteString(rw, `{"version":"1.7.12","min_admin_api_version":2,"max_admin_api_version":4}`)
	case r.URL.Path == "/v4/query" && strings.Contains(string(body), "COUNT(1)"):
		rw.Header().Set("Content-Type", "application/vnd.apache.arrow.stream")
		n := json.Number(fmt.Sprint(len(s.ids) + 7))
		_, _ = rw.Write(rowSet{columns: []string{"n"}, rows: []map[string]any{{"n": n}}}.arrow(s.t))
	case r.URL.Path == "/v4/query":
		rows := rowSet{}
		for _, i := range s.ids {
			rows.rows = append(rows.rows, map[string]any{"id": i, "target": "Desk/naps", "status": "running", "created_at": "2026-01-01T00:00:00Z"})
		}
		_, _ = io.WriteString(rw, rows.json(s.t))
	case r.URL.Path == "/v4/internal/invocations_batch_operations/pause":
		var in struct {
			IDs []string `json:"invocation_ids"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			s.t.Error(err)
		}
		s.sizes = append(s.sizes, len(in.IDs))
		if len(s.sizes) == s.fail {
			rw.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(rw, `{"message":"no leader"}`)
			return
		}
		b, err := json.Marshal(map[string]any{"succeeded": in.IDs, "failed": []string{}})
		if err != nil {
			s.t.Error(err)
		}
		_, _ = rw.Write(b)
	default:
		s.t.Errorf("%s %s", r.Method, r.URL)
	}
}

func TestManyInvocations(t *testing.T) {
	for _, row := range []struct {
		name     string
		terminal bool
		n, fail  int
		exit     int
		sizes    []int
		says     []string
		not      string
	}{
		{"few have no bar", true, 100, 0, 0, []int{100}, []string{"pause 100 invocations?", "[OK]: Paused 100 invocations"}, "\r"},
		{"a bar in a terminal", true, 250, 0, 0, []int{100, 100, 50}, []string{
			"... and 200 more\n", "\r [----------------------------------------] 0/250", "\r [################------------------------] 100/250",
			"\r [########################################] 250/250\n", "[OK]: Paused 250 invocations",
		}, "match"},
		{"none in a pipe", false, 250, 0, 0, []int{100, 100, 50}, []string{"Paused 250 invocations"}, "\r"},
		{"a full page says that there are more", false, 500, 0, 0, []int{100, 100, 100, 100, 100}, []string{"507 invocations match, and this is about the oldest 500 of them"}, ""},
		{"an error in the middle", false, 250, 2, 1, []int{100, 100}, []string{
			"[OK]: Paused 100 invocations", "Error: after 100 of 250 invocations: <UNKNOWN> no leader", "503 Service Unavailable",
		}, "250 invocations\n[OK]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &crowd{t: t, fail: row.fail}
			for i := range row.n {
				s.ids = append(s.ids, fmt.Sprintf("inv_%d", i))
			}
			server := httptest.NewServer(s)
			defer server.Close()
			vars := map[string]string{"RESTATE_ADMIN_URL": server.URL, "RESTATE_CLI_CONFIG_HOME": t.TempDir(), "NO_COLOR": "1"}
			t.Chdir(t.TempDir())
			var out strings.Builder
			code := command.Run(t.Context(), []string{"inv", "pause", "Desk", "-y"}, command.Env{
				In: strings.NewReader(""), Out: &out, Err: &out, Terminal: row.terminal, Clock: hosttest.NewClock(),
				Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
			})
			if code != row.exit {
				t.Errorf("exit code %d, want %d", code, row.exit)
			}
			if !slices.Equal(s.sizes, row.sizes) {
				t.Errorf("batches of %d, want %d", s.sizes, row.sizes)
			}
			for _, want := range row.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("says nothing like %q:\n%s", want, out.String())
				}
			}
			if row.not != "" && strings.Contains(out.String(), row.not) {
				t.Errorf("says %q:\n%s", row.not, out.String())
			}
		})
	}
}

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"reprise/tests/e2e/harness"
)

// What an invocation may cost the server, whatever the machine and its load: these are counts, not times.
// They are some two times what was measured with 64 clients (0.1 syncs, 1.4 writes, 2.9 switches, 24 allocations
// an echo; 0.3, 2.2, 7.0 and 36 for 3 steps), so they break when the arrangement does: a sync
// for each command, a wake-up for each event, a write for each frame.
const (
	countClients = 64
	countCalls   = 3200
)

type budget struct {
	syncs, writes, switches, mallocs float64 // for one invocation
}

// An invocation shares its syncs, writes and wake-ups with all that run beside it.
func TestCountsPerInvocation(t *testing.T) {
	form := newForm(t, "standalone")
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(form)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))
	server, err := form.Process("standalone")
	ok(t, err)

	for _, row := range []struct {
		name, path string
		in         any
		most       budget
	}{
		{"echo", "Plain/echo", "hello", budget{syncs: 0.4, writes: 4, switches: 8, mallocs: 50}},
		{"3 steps", "Plain/steps", Steps{Key: "counts", N: 3}, budget{syncs: 1.2, writes: 8, switches: 24, mallocs: 72}},
	} {
		t.Run(row.name, func(t *testing.T) {
			load(t, c, row.path, row.in, countClients) // connections, pools and caches fill
			before := count(t, server.PID(), form)
			load(t, c, row.path, row.in, countCalls)
			after := count(t, server.PID(), form)
			for _, x := range []struct {
				what      string
				got, most float64
			}{
				{"syncs", after.syncs - before.syncs, row.most.syncs},
				{"write calls", after.writes - before.writes, row.most.writes},
				{"voluntary context switches", after.switches - before.switches, row.most.switches},
				{"allocations", after.mallocs - before.mallocs, row.most.mallocs},
			} {
				each := x.got / countCalls
				t.Logf("%s: %.2f each", x.what, each)
				if each > x.most {
					t.Errorf("%s: %.2f each, at most %.2f", x.what, each, x.most)
				}
			}
		})
	}
}

func load(t *testing.T, c *harness.Client, path string, in any, calls int) {
	t.Helper()
	next := make(chan struct{}, calls)
	for range calls {
		next <- struct{}{}
	}
	close(next)
	failed := make(chan error, countClients)
	var group sync.WaitGroup
	for range countClients {
		group.Add(1)
		go func() {
			defer group.Done()
			for range next {
				if err := c.Call(t.Context(), path, in, nil); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	group.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
}

// count reads what the process has done so far.
func count(t *testing.T, pid int, f *harness.Form) budget {
	t.Helper()
	metrics := scrape(t.Context(), t, f)
	b := budget{syncs: metrics["reprise_logserver_commit_seconds_count"], mallocs: metrics["go_memstats_mallocs_total"]}
	b.writes = field(t, fmt.Sprintf("/proc/%d/io", pid), "syscw:")
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	ok(t, err)
	for _, task := range tasks {
		b.switches += field(t, task, "voluntary_ctxt_switches:")
	}
	return b
}

func field(t *testing.T, path, name string) float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) { // a thread that ended
		return 0
	}
	ok(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, name); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			ok(t, err)
			return n
		}
	}
	t.Fatalf("%s has no %s", path, name)
	return 0
}

// scrape reads the metrics of a form's server; a family with labels is summed up.
func scrape(ctx context.Context, t *testing.T, f *harness.Form) map[string]float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Fabric+"/metrics", nil)
	ok(t, err)
	resp, err := http.DefaultClient.Do(req)
	ok(t, err)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("metrics: %s %s", resp.Status, body)
	}
	out := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		cut := strings.LastIndexByte(line, ' ')
		name, _, _ := strings.Cut(line[:max(cut, 0)], "{")
		if v, err := strconv.ParseFloat(line[cut+1:], 64); err == nil {
			out[name] += v
		}
	}
	ok(t, lines.Err())
	return out
}

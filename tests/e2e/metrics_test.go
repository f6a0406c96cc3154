package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"reprise/tests/e2e/harness"
)

var docsFlag = flag.Bool("docs", false, "write docs/metrics.md anew")

type families map[string]*dto.MetricFamily

// scrapeAll reads and parses the metrics of a process.
func scrapeAll(ctx context.Context, p *harness.Process) (all families, err error) {
	err = readMetrics(ctx, p, func(body io.Reader) (err error) {
		parser := expfmt.NewTextParser(model.LegacyValidation)
		all, err = parser.TextToMetricFamilies(body)
		return err
	})
	return all, err
}

func readMetrics(ctx context.Context, p *harness.Process, read func(io.Reader) error) error {
	at := fabricOf(p)
	if p.Name == "standalone" {
		at = p.Addrs[len(p.Addrs)-1]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", p.Name, resp.Status)
	}
	return read(resp.Body)
}

// rolesOf are the roles of a process by its name, as in worker-1.
func rolesOf(p *harness.Process) []string {
	if p.Name == "standalone" {
		return []string{"metadata", "log-server", "worker", "ingress", "admin"}
	}
	return []string{strings.TrimRight(p.Name, "-0123456789")}
}

// misnamed are the six families that the linter refuses and the contract has.
var misnamed = []string{
	"restate_failure_detector_nodes_total", "restate_invoker_concurrency_slots_acquired", "restate_invoker_concurrency_slots_released",
	"restate_partition_applied_lsn_lag", "restate_partition_time_since_last_status_update_seconds", "restate_partition_snapshot_age_seconds",
}

// marked is a family of the contract.
type marked struct {
	name, kind string
	labels     []string
	roles      []string
}

// contract reads the families that the contract marks.
func contract(t *testing.T) (all []marked) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "contract.tsv"))
	ok(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("contract.tsv: %q has %d columns", line, len(f))
		}
		all = append(all, marked{f[0], f[1], strings.Fields(f[2]), strings.Fields(f[3])})
	}
	return all
}

// constantLabels are on every series.
var constantLabels = []string{"cluster_name", "node_name"}

// labelsOf are the labels of a family besides the constant ones. It tells whether all series have the same.
func labelsOf(f *dto.MetricFamily) (names []string, same bool) {
	same = true
	for i, m := range f.GetMetric() {
		var own []string
		constant := 0
		for _, l := range m.GetLabel() {
			if slices.Contains(constantLabels, l.GetName()) && l.GetValue() != "" {
				constant++
				continue
			}
			own = append(own, l.GetName())
		}
		slices.Sort(own)
		if i == 0 {
			names = own
		}
		same = same && constant == len(constantLabels) && slices.Equal(own, names)
	}
	return names, same
}

// Each process shows what the contract says, from the start, in names, types and labels that the linter takes.
func TestMetrics(t *testing.T) {
	want := contract(t)
	eachForm(t, func(t *testing.T, kind string) {
		s, err := sharedForm(kind)
		ok(t, err)
		for _, p := range s.form.Processes {
			t.Run(p.Name, func(t *testing.T) {
				got, err := scrapeAll(t.Context(), p)
				ok(t, err)
				checkContract(t, want, got, rolesOf(p))
				lint(t, got)
			})
		}
	})
}

func checkContract(t *testing.T, want []marked, got families, roles []string) {
	t.Helper()
	for _, w := range want {
		due := slices.Contains(w.roles, "all") || slices.ContainsFunc(w.roles, func(r string) bool { return slices.Contains(roles, r) })
		f := got[w.name]
		if f == nil {
			if due {
				t.Errorf("no %s", w.name)
			}
			continue
		}
		if kind := strings.ToLower(f.GetType().String()); kind != w.kind {
			t.Errorf("%s is a %s, not a %s", w.name, kind, w.kind)
		}
		if labels, same := labelsOf(f); !same || !slices.Equal(labels, w.labels) {
			t.Errorf("%s has labels %v (the same on all series: %t), not %v", w.name, labels, same, w.labels)
		}
	}
}

func lint(t *testing.T, got families) {
	t.Helper()
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(got))).Lint()
	ok(t, err)
	for _, p := range problems {
		if !slices.Contains(misnamed, p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for name, f := range got {
		labels, same := labelsOf(f)
		if !same {
			t.Errorf("%s: its series have different labels", name)
		}
		for _, l := range labels {
			if !strings.HasPrefix(name, "etcd_") && labelBounds[l] == "" {
				t.Errorf("%s: nothing is known to bound its label %s", name, l)
			}
		}
	}
}

// A hundred scrapes a second, and scrapers that do not read, cost the data path nothing that it could notice: no call fails, no scrape
// is refused, and metrics are gathered ten times a second at most.
func TestScrapeStorm(t *testing.T) {
	s, err := sharedForm("standalone")
	ok(t, err)
	p := s.form.Processes[0]
	c := harness.NewClient(s.form)
	defer c.Close()
	const scrapers, each, calls = 10, 30, 500
	before, err := scrapeAll(t.Context(), p)
	ok(t, err)
	begin := time.Now()
	var group sync.WaitGroup
	for range scrapers {
		group.Go(func() {
			tick := time.NewTicker(time.Second / 10) // a hundred a second together
			defer tick.Stop()
			for range each {
				if err := readMetrics(t.Context(), p, discard); err != nil { // to parse them all would keep this process busy, which calls and serves
					t.Error(err)
				}
				<-tick.C
			}
		})
	}
	worst := time.Duration(0)
	for range calls {
		at := time.Now()
		var out string
		ok(t, c.Call(t.Context(), "Plain/echo", "hello", &out))
		worst = max(worst, time.Since(at))
	}
	group.Wait()
	after, err := scrapeAll(t.Context(), p)
	ok(t, err)
	took := time.Since(begin)
	const gathers = "reprise_telemetry_gathers_total"
	n := value(after, gathers) - value(before, gathers)
	if most := took.Seconds()*10 + 1; n > most || n < 2 {
		t.Errorf("metrics were gathered %v times in %s", n, took)
	}
	if misnamed := value(after, "reprise_telemetry_scrapes_refused_total"); misnamed != 0 {
		t.Errorf("%v scrapes were refused", n)
	}
	t.Logf("%d scrapes, %v gathers and %d calls in %s; the slowest call took %s", scrapers*each, n, calls, took, worst)
}

func discard(body io.Reader) error {
	_, err := io.Copy(io.Discard, body)
	return err
}

// value is the sum of a family of counters or gauges.
func value(all families, name string) (sum float64) {
	for _, m := range all[name].GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum
}

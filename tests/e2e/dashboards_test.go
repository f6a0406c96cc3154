package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// stage is a cluster under load, scraped by Prometheus.
type stage struct {
	form       *harness.Form
	cluster    string
	prometheus string // URL
	tools      string // folder
	deploy     string // folder
}

func newStage(t *testing.T) *stage {
	t.Helper()
	root, err := harness.Root()
	ok(t, err)
	tools := filepath.Join(root, ".tools", "prometheus", "usr", "bin")
	if at, err := exec.LookPath("prometheus"); err == nil {
		tools = filepath.Dir(at)
	}
	if _, err := os.Stat(filepath.Join(tools, "promtool")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("scripts/prometheus gets Prometheus: %v", err)
	}
	shared, err := sharedForm("daemons")
	ok(t, err)
	s := &stage{form: shared.form, tools: tools, deploy: filepath.Join(root, "deploy")}
	s.cluster = s.form.Name + "-" + filepath.Base(s.form.Dir)
	s.load(t)
	s.scrape(t, t.TempDir())
	return s
}

// stageCallers is how many invoke at a time.
const stageCallers = 4

// load has invocations run until the test ends: state, steps, and calls from one partition to another.
func (s *stage) load(t *testing.T) {
	t.Helper()
	c := harness.NewClient(s.form)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range stageCallers {
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("stage-%d-%d", i, n%50)
				err := c.Call(ctx, "Plain/calls", []string{key}, nil)
				if err == nil {
					err = c.Call(ctx, "Plain/steps", Steps{Key: key, N: 2}, nil)
				}
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Go(func() { s.operate(ctx, t) })
	t.Cleanup(func() {
		cancel()
		group.Wait()
		c.Close()
	})
}

// operate has an operator change metadata now and then: nobody else does while a cluster is well.
func (s *stage) operate(ctx context.Context, t *testing.T) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, command := range []string{"freeze 0 --reason stage", "unfreeze 0"} {
			if err := s.form.Control(context.WithoutCancel(ctx), nil, append([]string{"partitions", "placement"}, strings.Fields(command)...)...); err != nil {
				t.Error(err)
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// scrape starts Prometheus with the rules of deploy/.
func (s *stage) scrape(t *testing.T, dir string) {
	t.Helper()
	var targets []string
	for _, p := range s.form.Processes {
		targets = append(targets, `"`+p.Addrs[0]+`"`)
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%s]
scrape_configs:
  - job_name: reprise
    static_configs: [{targets: [%s]}]
`, filepath.Join(s.deploy, "prometheus", "alerts.yml"), strings.Join(targets, ", "))
	path := filepath.Join(dir, "prometheus.yml")
	ok(t, os.WriteFile(path, []byte(config), 0o644))
	at, err := env.ports.Take()
	ok(t, err)
	s.prometheus = "http://" + at
	cmd := exec.Command(filepath.Join(s.tools, "prometheus"), "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	log, err := os.Create(filepath.Join(dir, "log"))
	ok(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	ok(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("Prometheus:\n%s", text)
		}
		_ = log.Close()
	})
}

// promResult is what Prometheus answers to a query.
type promResult struct {
	Status, Error string
	Data          struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
		ActiveTargets []struct{ Health, LastError, ScrapeURL string }
		Groups        []struct {
			Rules []struct{ Name, Query, Health, LastError string }
		}
	}
}

func (s *stage) ask(ctx context.Context, path string) (*promResult, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.prometheus+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var r promResult
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if r.Status != "success" {
		return nil, fmt.Errorf("%s: %s", resp.Status, r.Error)
	}
	return &r, nil
}

// dataLimit is how long a query may be without data: rates need two scrapes.
const dataLimit = time.Minute

// returns waits until a query returns at least one number.
func (s *stage) returns(t *testing.T, what, query string) {
	t.Helper()
	err := harness.Wait(t.Context(), dataLimit, what, func(ctx context.Context) error {
		r, err := s.ask(ctx, "/api/v1/query?query="+url.QueryEscape(query))
		if err != nil {
			return err
		}
		for _, x := range r.Data.Result {
			if x.Value[1] != "NaN" {
				return nil
			}
		}
		return fmt.Errorf("no data (%d series of NaN): %s", len(r.Data.Result), query)
	})
	if err != nil {
		t.Error(err)
	}
}

// dashboard is a file of Grafana.
type dashboard struct {
	UID, Title string
	Templating struct{ List []struct{ Name string } }
	Panels     []struct {
		ID          int
		Type, Title string
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ Expr, LegendFormat string }
	}
}

var variable = regexp.MustCompile(`\$\{?(\w+)\}?`)

// What deploy/ has is tried against a real Prometheus, which scrapes a cluster under load: the queries of every panel and the expression of
// every rule return data, and promtool finds nothing wrong.
func TestDashboardsAndAlerts(t *testing.T) {
	s := newStage(t)
	t.Run("targets", s.targets)
	t.Run("promtool", s.promtool)
	files, err := filepath.Glob(filepath.Join(s.deploy, "grafana", "*.json"))
	ok(t, err)
	if len(files) < 2 {
		t.Fatalf("dashboards: %v", files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { s.dashboard(t, file) })
	}
	t.Run("rules", s.rules)
}

// Every process is scraped.
func (s *stage) targets(t *testing.T) {
	ok(t, harness.Wait(t.Context(), dataLimit, "all processes are scraped", func(ctx context.Context) error {
		r, err := s.ask(ctx, "/api/v1/targets")
		if err != nil {
			return err
		}
		if n := len(r.Data.ActiveTargets); n != len(s.form.Processes) {
			return fmt.Errorf("%d targets", n)
		}
		for _, x := range r.Data.ActiveTargets {
			if x.Health != "up" {
				return fmt.Errorf("%s is %s: %s", x.ScrapeURL, x.Health, x.LastError)
			}
		}
		return nil
	}))
}

// promtool is content with the rules, with what they do, and with the metrics of each process.
func (s *stage) promtool(t *testing.T) {
	tool := filepath.Join(s.tools, "promtool")
	rules := filepath.Join(s.deploy, "prometheus")
	for _, args := range [][]string{
		{"check", "rules", filepath.Join(rules, "alerts.yml")},
		{"check", "config", filepath.Join(rules, "prometheus.yml")},
		{"test", "rules", filepath.Join(rules, "alerts_test.yml")},
	} {
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for _, p := range s.form.Processes {
		resp, err := http.Get("http://" + p.Addrs[0] + "/metrics")
		ok(t, err)
		cmd := exec.CommandContext(t.Context(), tool, "check", "metrics")
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = resp.Body, &out, &out
		err = cmd.Run()
		_ = resp.Body.Close()
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(out.String()), "\n"), func(l string) bool {
			name, _, _ := strings.Cut(l, " ")
			return slices.Contains(misnamed, name) || l == ""
		})
		if len(lines) > 0 {
			t.Errorf("%s: promtool check metrics: %v\n%s", p.Name, err, strings.Join(lines, "\n"))
		}
	}
}

// Every panel has a place of its own, and each of its queries returns data.
func (s *stage) dashboard(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	ok(t, err)
	var d dashboard
	ok(t, json.Unmarshal(text, &d))
	if d.UID == "" || d.Title == "" || len(d.Panels) == 0 {
		t.Fatal("it has no uid, title or panels")
	}
	known := map[string]bool{"__rate_interval": true, "__all": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	for _, v := range variable.FindAllStringSubmatch(string(text), -1) {
		if !known[v[1]] {
			t.Errorf("there is no variable %s", v[0])
		}
	}
	for i, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s: no queries", p.Title)
		}
		for _, q := range d.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			if p.ID == q.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q and %q have one place or id", p.Title, q.Title)
			}
		}
		for _, target := range p.Targets {
			query := strings.NewReplacer("$__rate_interval", "15s", "$cluster", s.cluster, "$node", ".*").Replace(target.Expr)
			s.returns(t, p.Title, query)
		}
	}
}

// threshold is the end of a rule: an operator and a number.
var threshold = regexp.MustCompile(`^(?s)(.*) (?:>|<|>=|<=|==|!=) [0-9.e+-]+$`)

// Every rule is evaluated, and its expression without its threshold returns data.
func (s *stage) rules(t *testing.T) {
	var all *promResult
	ok(t, harness.Wait(t.Context(), dataLimit, "rules are evaluated", func(ctx context.Context) (err error) {
		if all, err = s.ask(ctx, "/api/v1/rules"); err != nil {
			return err
		}
		for _, g := range all.Data.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if len(all.Data.Groups) == 0 {
			return fmt.Errorf("there are none")
		}
		return nil
	}))
	for _, g := range all.Data.Groups {
		for _, r := range g.Rules {
			parts := threshold.FindStringSubmatch(r.Query)
			if parts == nil {
				t.Errorf("%s does not end with a threshold: %s", r.Name, r.Query)
				continue
			}
			s.returns(t, r.Name, parts[1])
		}
	}
}

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"reprise/tests/e2e/harness"
)

// labelBounds says of each label what bounds its values.
var labelBounds = map[string]string{
	"action":       "kinds of actions: 11",
	"command":      "kinds of commands: 23",
	"db":           "partitions that the node holds, log-server; of histograms and caches: partitions, log-server",
	"direction":    "incoming, outgoing",
	"invoker_id":   "0: the invoker of the process",
	"leader":       "0, 1",
	"name":         "pools of memory: 4",
	"node_id":      "log-servers of the cluster",
	"outcome":      "completed, failed, cancelled",
	"partition":    "partitions of the cluster",
	"partition_id": "partitions of the cluster",
	"quantile":     "0.5, 0.9, 0.99, 1; of Go's own 0, 0.25, 0.5, 0.75, 1",
	"reason":       "reasons why a partition cannot run: 3; why stores are flushed: 3",
	"rpc_service":  "services that were registered; empty for requests that name none of them",
	"rpc_type":     "call, send; empty for requests that name no service",
	"stage":        "parts of a take-over: 4",
	"state":        "alive, dead, suspect, failing_over",
	"status":       "outcomes: at most 9 of a family",
	"status_code":  "HTTP status codes, from 100 to 599, and other",
	"swimlane":     "GENERAL: one connection carries everything",
	"target":       "services between daemons that have a pool: 2",
	"transient":    "false, true",
	"type":         "kinds of connections to deployments: 3; of stops: 6",
	"version":      "of Go: 1",
}

// documented is a family as docs/metrics.md shows it.
type documented struct {
	name, kind, labels, help string
	roles                    map[string]bool
}

// docs/metrics.md has what the processes show: neither more nor less. go test ./tests/e2e -run TestMetricsPage -docs writes it.
func TestMetricsPage(t *testing.T) {
	s, err := sharedForm("daemons")
	ok(t, err)
	all := map[string]*documented{}
	for _, p := range s.form.Processes {
		got, err := scrapeAll(t.Context(), p)
		ok(t, err)
		for name, f := range got {
			document(all, name, f, p)
		}
	}
	root, err := harness.Root()
	ok(t, err)
	path := filepath.Join(root, "docs", "metrics.md")
	page := metricsPage(all, contract(t))
	if *docsFlag {
		ok(t, os.WriteFile(path, []byte(page), 0o644))
		return
	}
	have, err := os.ReadFile(path)
	ok(t, err)
	if string(have) == page {
		return
	}
	lines := func(s string) map[string]bool {
		return maps.Collect(func(yield func(string, bool) bool) {
			for l := range strings.Lines(s) {
				if !yield(l, true) {
					return
				}
			}
		})
	}
	was, is := lines(string(have)), lines(page)
	for _, l := range slices.Sorted(maps.Keys(is)) {
		if !was[l] {
			t.Errorf("docs/metrics.md lacks: %s", l)
		}
	}
	for _, l := range slices.Sorted(maps.Keys(was)) {
		if !is[l] {
			t.Errorf("docs/metrics.md has: %s", l)
		}
	}
	t.Error("docs/metrics.md is not what the processes show: write it anew with go test ./tests/e2e -run TestMetricsPage -docs")
}

func document(all map[string]*documented, name string, f *dto.MetricFamily, p *harness.Process) {
	if all[name] == nil {
		labels, _ := labelsOf(f)
		all[name] = &documented{name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp(), map[string]bool{}}
	}
	all[name].roles[rolesOf(p)[0]] = true
}

const metricsIntro = `# Metrics

Written by ` + "`go test ./tests/e2e -run TestMetricsPage -docs`" + `, which asks each of the five daemons, and checked by every test run. The standalone
server has all of them.

Each daemon serves ` + "`GET /metrics`" + ` on its fabric port (5122) in Prometheus' text format 0.0.4, unless ` + "`disable-prometheus`" + ` is set. Every series has the labels
` + "`cluster_name`" + ` and ` + "`node_name`" + `. How often it is scraped does not matter: metrics are gathered ten times a second at most, and scrapes that come closer together get
the same answer. Families ` + "`reprise_tracing_`" + ` are there where spans are exported, ` + "`reprise_certs_`" + ` where there is TLS. Dashboards and alerts that use them are in [deploy/](../deploy/README.md).

Names that begin with ` + "`restate_`" + ` are those of the contract, kept so that existing dashboards work; summaries there are histograms here, whose ` + "`_sum`" + ` and ` + "`_count`" + ` are the same.
A database engine's names (` + "`restate_rocksdb_`" + `) tell of Pebble. Names that begin with ` + "`reprise_`" + ` are ours. Six names do not follow the rules that Prometheus' linter has, for the sake of
the contract: ` + "`%s`" + `.
A metadata daemon also shows what its etcd member documents (` + "`etcd_server_has_leader`, `etcd_disk_wal_fsync_duration_seconds`" + ` and the like, see etcd's own page), and under the
contract's names what has the same meaning; etcd does not tell the first and the last index of its log.

## Labels

What bounds the number of series. No label has the name of an invocation, a key, or any other text from outside but the names of services that an operator registered.

| label | values |
|---|---|
`

// metricsPage is docs/metrics.md.
func metricsPage(all map[string]*documented, want []marked) string {
	var b strings.Builder
	fmt.Fprintf(&b, metricsIntro, strings.Join(misnamed, "`, `"))
	for _, l := range slices.Sorted(maps.Keys(labelBounds)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", l, labelBounds[l])
	}
	known := map[string]bool{}
	for _, w := range want {
		known[w.name] = true
	}
	section := func(title string, of func(name string) bool) {
		fmt.Fprintf(&b, "\n## %s\n\n| name | type | labels | daemons | meaning |\n|---|---|---|---|---|\n", title)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if d := all[name]; of(name) {
				roles := strings.Join(slices.Sorted(maps.Keys(d.roles)), ", ")
				if len(d.roles) == 5 {
					roles = "all"
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, d.kind, d.labels, roles, strings.ReplaceAll(d.help, "|", "\\|"))
			}
		}
	}
	section("Of the contract", func(n string) bool { return known[n] })
	section("Ours", func(n string) bool {
		return strings.HasPrefix(n, "reprise_") || strings.HasPrefix(n, "restate_") && !known[n]
	})
	section("The Go runtime and the process", func(n string) bool { return strings.HasPrefix(n, "go_") || strings.HasPrefix(n, "process_") })
	return b.String()
}

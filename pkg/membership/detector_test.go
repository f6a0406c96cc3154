package membership_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
)

type still struct{ s *metastore.Snapshot }

func (v still) Current() *metastore.Snapshot { return v.s }

func (still) Changed() <-chan struct{} { return nil }

type roster map[id.Node]membership.State

func (r roster) States() map[id.Node]membership.State { return r }

func (roster) Beats() uint64 { return 42 }

func TestDetector(t *testing.T) {
	view := still{&metastore.Snapshot{
		Nodes:   []*storedv1.Node{{Id: 1}, {Id: 2}, {Id: 3}, {Id: 4}, {Id: 5}},
		Present: []metastore.Presence{{ID: id.GenerationalNode{Node: 2, Generation: 1}}, {ID: id.GenerationalNode{Node: 3, Generation: 1}}},
	}}
	h := hosttest.New(hosttest.NewClock(), 1)
	d := membership.NewDetector(id.GenerationalNode{Node: 1, Generation: 7}, view, h)
	check := func(alive, dead, failingOver, suspect, received string) {
		t.Helper()
		want := `# HELP restate_failure_detector_gossip_received_total Beats and calls that this process was told.
# TYPE restate_failure_detector_gossip_received_total counter
restate_failure_detector_gossip_received_total ` + received + `
# HELP restate_failure_detector_lonely 1: this process reaches no metadata daemon, so it is told of no death and takes nothing over.
# TYPE restate_failure_detector_lonely gauge
restate_failure_detector_lonely 0
# HELP restate_failure_detector_nodes_total Nodes of the cluster by how they stand in the view of this process.
# TYPE restate_failure_detector_nodes_total gauge
restate_failure_detector_nodes_total{state="alive"} ` + alive + `
restate_failure_detector_nodes_total{state="dead"} ` + dead + `
restate_failure_detector_nodes_total{state="failing_over"} ` + failingOver + `
restate_failure_detector_nodes_total{state="suspect"} ` + suspect + `
`
		err := testutil.GatherAndCompare(h.Metrics, strings.NewReader(want), "restate_failure_detector_nodes_total", "restate_failure_detector_lonely",
			"restate_failure_detector_gossip_received_total")
		if err != nil {
			t.Error(err)
		}
	}
	check("3", "2", "0", "0", "0") // itself, and two that hold leases
	d.Hears(roster{2: membership.Dead, 4: membership.Suspect, 5: membership.FailingOver})
	check("2", "1", "1", "1", "42")
}

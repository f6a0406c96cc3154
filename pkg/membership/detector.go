package membership

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
)

// State is how a process stands in the view of another one.
type State uint8

// The states.
const (
	Dead        State = iota // it holds no lease, or was silent for too long
	Alive                    // it is heard of
	Suspect                  // its connection ended, and it is being probed
	FailingOver              // it says that it leaves
)

var stateNames = [...]string{Dead: "dead", Alive: "alive", Suspect: "suspect", FailingOver: "failing_over"}

// Roster is what a metadata daemon knows of the processes that attend.
type Roster interface {
	// States are by node; a node that never attended is not among them.
	States() map[id.Node]State
	// Beats is how many beats came.
	Beats() uint64
}

// Detector shows how the nodes of the cluster stand in the view of this process: of a metadata daemon by what they tell
// it, of others by the leases that they hold.
type Detector struct {
	me   id.GenerationalNode
	view View
	born float64 // seconds since the Unix epoch

	attendance atomic.Pointer[Attendance]
	roster     atomic.Pointer[Roster]
}

var _ prometheus.Collector = (*Detector)(nil)

// NewDetector registers one.
func NewDetector(me id.GenerationalNode, view View, h host.Host) *Detector {
	d := &Detector{me: me, view: view, born: float64(host.Millis(h.Clock)) / 1000}
	h.Metrics.MustRegister(d)
	return d
}

// Attends names the attendance of this process.
func (d *Detector) Attends(a *Attendance) { d.attendance.Store(a) }

// Hears names the roster of this process.
func (d *Detector) Hears(r Roster) { d.roster.Store(&r) }

func detector(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("restate_failure_detector_"+name, help, labels, nil)
}

var (
	detectorNodes    = detector("nodes_total", "Nodes of the cluster by how they stand in the view of this process.", "state")
	detectorLonely   = detector("lonely", "1: this process reaches no metadata daemon, so it is told of no death and takes nothing over.")
	detectorSent     = detector("gossip_sent_total", "Beats that this process told metadata daemons.")
	detectorReceived = detector("gossip_received_total", "Beats and calls that this process was told.")
	detectorInstance = detector("instance", "When this process started, in seconds since the Unix epoch.")
)

// Describe implements prometheus.Collector.
func (d *Detector) Describe(ch chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{detectorNodes, detectorLonely, detectorSent, detectorReceived, detectorInstance} {
		ch <- x
	}
}

// Collect implements prometheus.Collector.
func (d *Detector) Collect(ch chan<- prometheus.Metric) {
	for s, n := range d.count() {
		ch <- prometheus.MustNewConstMetric(detectorNodes, prometheus.GaugeValue, float64(n), stateNames[s])
	}
	var sent, received uint64
	lonely := 0.0
	if a := d.attendance.Load(); a != nil {
		sent, received = a.told.Load(), a.called.Load()
		if a.wanted.Load() > 0 && a.meetings.Load() == 0 {
			lonely = 1
		}
	}
	if r := d.roster.Load(); r != nil {
		received += (*r).Beats()
	}
	ch <- prometheus.MustNewConstMetric(detectorLonely, prometheus.GaugeValue, lonely)
	ch <- prometheus.MustNewConstMetric(detectorSent, prometheus.CounterValue, float64(sent))
	ch <- prometheus.MustNewConstMetric(detectorReceived, prometheus.CounterValue, float64(received))
	ch <- prometheus.MustNewConstMetric(detectorInstance, prometheus.GaugeValue, d.born)
}

// count is how many nodes stand how. This process itself lives.
func (d *Detector) count() (n [len(stateNames)]int) {
	var heard map[id.Node]State
	if r := d.roster.Load(); r != nil {
		heard = (*r).States()
	}
	s := d.view.Current()
	for _, node := range s.Nodes {
		nid := id.Node(node.Id)
		present := func(p metastore.Presence) bool { return p.ID.Node == nid }
		state, ok := heard[nid]
		switch {
		case nid == d.me.Node:
			state = Alive
		case ok:
		case slices.ContainsFunc(s.Present, present):
			state = Alive
		default:
			state = Dead
		}
		n[state]++
	}
	return n
}

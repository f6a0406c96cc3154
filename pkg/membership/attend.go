package membership

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

const (
	// beatIntervalDefault is how often the metadata daemons are told that this process lives.
	beatIntervalDefault = 200 * time.Millisecond
	// attendPause is the pause before a metadata daemon is tried again.
	attendPause = 100 * time.Millisecond
	// leaveMax is how long a worker that stops waits for others to lead its partitions.
	leaveMax = time.Second
)

// Worker is what attends for a worker: how its partitions stand, and what it can be asked to do.
type Worker interface {
	Status() []placement.Status
	Lead(p id.Partition, over lsn.Epoch) error
}

// Meeting is a connection to one metadata daemon. Tell does not wait; nowMillis is what the clock shows, Unix milliseconds.
type Meeting interface {
	Tell(leaving bool, nowMillis int64, statuses []placement.Status) error
	// Await blocks until the daemon asks for something, or the connection ends.
	Await() (p id.Partition, over lsn.Epoch, err error)
}

// Metadata reaches metadata daemons.
type Metadata interface {
	// Attend connects to one; the meeting ends with ctx.
	Attend(ctx context.Context, n id.Node) (Meeting, error)
}

// View is the part of metastore.View that says who is in the cluster.
type View interface {
	Current() *metastore.Snapshot
	Changed() <-chan struct{}
}

// Attendance tells all metadata daemons again and again that this process lives and how its partitions stand, and does
// what they ask for.
type Attendance struct {
	me       id.GenerationalNode
	view     View
	metadata Metadata
	worker   Worker // nil: the process is no worker
	interval time.Duration
	host     host.Host
	leaving  atomic.Bool
	left     chan struct{} // closed with leaving, which is told at once
	metrics  *beatMetrics

	// What Detector shows: beats told, calls heard, daemons to attend at, and connections to them.
	told, called     atomic.Uint64
	wanted, meetings atomic.Int64
}

// NewAttendance returns the part; worker is nil where the process is none.
func NewAttendance(me id.GenerationalNode, view View, metadata Metadata, worker Worker, h host.Host) *Attendance {
	return &Attendance{me: me, view: view, metadata: metadata, worker: worker, interval: beatIntervalDefault, host: h, left: make(chan struct{}), metrics: newBeatMetrics(h.Metrics)}
}

// SetInterval says how often the metadata daemons are told that this process lives (two times gossip-tick-interval, 200 ms). Call
// it before Run.
func (a *Attendance) SetInterval(d time.Duration) { a.interval = d }

// Run attends until ctx ends.
func (a *Attendance) Run(ctx context.Context) error {
	g := lifecycle.NewGroup(ctx)
	g.Go("attend", func(ctx context.Context) error { return a.attendAll(ctx, g) })
	return g.Wait()
}

// Departure is the last part of a process, so the first that is stopped: it says that the process leaves, and a worker
// waits a little for others to lead what it leads, which it serves meanwhile.
func (a *Attendance) Departure() lifecycle.Part {
	return lifecycle.Func(func(ctx context.Context) error {
		<-ctx.Done()
		a.leaving.Store(true)
		close(a.left)
		a.awaitRelief()
		return nil
	})
}

// awaitRelief returns when this worker leads nothing, or nobody takes it over in time.
func (a *Attendance) awaitRelief() {
	if a.worker == nil || !a.relievable() {
		return
	}
	deadline := a.host.Clock.Now().Add(leaveMax)
	timer := a.host.Clock.NewTimer(0)
	defer timer.Stop()
	for a.leads() && a.host.Clock.Now().Before(deadline) {
		timer.Reset(10 * time.Millisecond)
		<-timer.C()
	}
}

func (a *Attendance) leads() bool {
	return slices.ContainsFunc(a.worker.Status(), func(s placement.Status) bool { return s.Role == placement.Leads })
}

// relievable tells whether another worker that is there holds something that is led here.
func (a *Attendance) relievable() bool {
	s := a.view.Current()
	there := func(n uint32) bool {
		return id.Node(n) != a.me.Node && slices.ContainsFunc(s.Present, func(p metastore.Presence) bool { return uint32(p.ID.Node) == n })
	}
	return slices.ContainsFunc(s.Epochs, func(e *storedv1.Epoch) bool {
		return e.GetNode() == uint32(a.me.Node) && slices.ContainsFunc(e.GetReplicas(), there)
	})
}

// attendAll attends at each metadata daemon of the view; at this process only if it has a worker to speak for.
func (a *Attendance) attendAll(ctx context.Context, g *lifecycle.Group) error {
	at := map[id.Node]bool{}
	for {
		changed := a.view.Changed()
		for _, n := range a.view.Current().Nodes {
			nid := id.Node(n.Id)
			if at[nid] || nid == a.me.Node && a.worker == nil || !slices.Contains(n.Roles, metastore.RoleMetadata) {
				continue
			}
			at[nid] = true
			a.wanted.Add(1)
			g.Go("attend at "+nid.String(), func(ctx context.Context) error { return a.attend(ctx, nid) })
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// attend keeps a connection to one metadata daemon while it is in the metadata.
func (a *Attendance) attend(ctx context.Context, n id.Node) error {
	timer := a.host.Clock.NewTimer(0)
	defer timer.Stop()
	for {
		if a.view.Current().Node(n) != nil {
			if err := a.meet(ctx, n); ctx.Err() == nil {
				a.host.Log.Debug("attending at a metadata daemon, will try again", slog.String(logkey.Peer, n.String()), slog.Any(logkey.Err, err))
			}
		}
		timer.Reset(attendPause)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
	}
}

// meet holds one connection until it ends.
func (a *Attendance) meet(ctx context.Context, n id.Node) error {
	ctx, cancel := context.WithCancel(ctx)
	m, err := a.metadata.Attend(ctx, n)
	if err != nil {
		cancel()
		return err
	}
	a.meetings.Add(1)
	defer a.meetings.Add(-1)
	g := lifecycle.NewGroup(ctx)
	g.Go("beat", func(ctx context.Context) error {
		defer cancel()
		return a.beat(ctx, m)
	})
	g.Go("calls", func(context.Context) error {
		defer cancel()
		for {
			p, over, err := m.Await()
			if err != nil {
				return err
			}
			a.called.Add(1)
			if a.worker == nil || a.leaving.Load() {
				continue
			}
			if err := a.worker.Lead(p, over); err != nil {
				a.host.Log.Warn("called to lead a partition", slog.Int(logkey.Partition, int(p)), slog.Any(logkey.Err, err))
			}
		}
	})
	return g.Wait()
}

func (a *Attendance) beat(ctx context.Context, m Meeting) error {
	timer := a.host.Clock.NewTimer(0)
	defer timer.Stop()
	left, due := a.left, a.host.Clock.Now()
	for {
		var statuses []placement.Status
		if a.worker != nil {
			statuses = a.worker.Status()
		}
		if err := m.Tell(a.leaving.Load(), host.Millis(a.host.Clock), statuses); err != nil {
			return err
		}
		a.told.Add(1)
		now := a.host.Clock.Now()
		a.metrics.observe(now.Sub(due))
		due = now.Add(a.interval)
		timer.Reset(a.interval)
		select {
		case <-ctx.Done():
			return nil
		case <-left:
			left, due = nil, a.host.Clock.Now() // it is told at once, once
		case <-timer.C():
		}
	}
}

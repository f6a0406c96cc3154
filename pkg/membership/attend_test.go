package membership_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// shown is a view that shows what the test says.
type shown struct {
	mu       sync.Mutex
	snapshot metastore.Snapshot
	changed  chan struct{}
}

func (v *shown) Current() *metastore.Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.snapshot
	return &s
}

func (v *shown) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

func (v *shown) show(change func(*metastore.Snapshot)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.snapshot)
	close(v.changed)
	v.changed = make(chan struct{})
}

// beat is what a metadata daemon was told.
type beat struct {
	leaving  bool
	statuses []placement.Status
}

type call struct {
	partition id.Partition
	over      lsn.Epoch
}

// desks are the metadata daemons. Each connection is handed to the test.
type desks struct {
	met chan *meeting
	mu  sync.Mutex
	bad error // of the next attempts to connect
}

type meeting struct {
	with  id.Node
	told  chan beat
	calls chan call
	ended chan struct{} // closed by the test: the connection ends
	gone  <-chan struct{}
}

var errEnded = errors.New("the connection ended")

func (d *desks) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bad = err
}

func (d *desks) Attend(ctx context.Context, n id.Node) (membership.Meeting, error) {
	d.mu.Lock()
	err := d.bad
	d.mu.Unlock()
	m := &meeting{with: n, told: make(chan beat), calls: make(chan call), ended: make(chan struct{}), gone: ctx.Done()}
	if err != nil {
		close(m.ended)
	}
	select {
	case d.met <- m:
		return m, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *meeting) Tell(leaving bool, _ int64, statuses []placement.Status) error {
	select {
	case m.told <- beat{leaving: leaving, statuses: statuses}:
		return nil
	case <-m.ended:
		return errEnded
	case <-m.gone:
		return errEnded
	}
}

func (m *meeting) Await() (id.Partition, lsn.Epoch, error) {
	select {
	case c := <-m.calls:
		return c.partition, c.over, nil
	case <-m.ended:
		return 0, 0, errEnded
	case <-m.gone:
		return 0, 0, errEnded
	}
}

// laborer is a worker of one partition.
type laborer struct {
	mu     sync.Mutex
	role   placement.Role
	called chan call
	err    error
	takes  func() // what Status takes time for
}

func (w *laborer) Status() []placement.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.takes != nil {
		w.takes()
	}
	return []placement.Status{{Role: w.role}}
}

func (w *laborer) is(r placement.Role) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.role = r
}

func (w *laborer) Lead(p id.Partition, over lsn.Epoch) error {
	w.called <- call{p, over}
	return w.err
}

// attending is a process that attends: worker 3 of a cluster of metadata daemon 1 and workers 2 and 3.
type attending struct {
	*membership.Attendance
	t      *testing.T
	clock  *hosttest.Clock
	view   *shown
	desks  *desks
	worker *laborer

	metrics prometheus.Gatherer
}

func newAttending(t *testing.T, w *laborer) *attending {
	t.Helper()
	a := &attending{t: t, clock: hosttest.NewClock(), view: &shown{changed: make(chan struct{})}, desks: &desks{met: make(chan *meeting)}, worker: w}
	for n, role := range []string{metastore.RoleMetadata, metastore.RoleWorker, metastore.RoleWorker} {
		a.view.snapshot.Nodes = append(a.view.snapshot.Nodes, &storedv1.Node{Id: uint32(n + 1), Roles: []string{role}})
		a.view.snapshot.Present = append(a.view.snapshot.Present, metastore.Presence{ID: id.GenerationalNode{Node: id.Node(n + 1), Generation: 1}})
	}
	var worker membership.Worker
	if w != nil {
		w.called = make(chan call)
		worker = w
	}
	h := hosttest.New(a.clock, 1)
	a.metrics = h.Metrics
	a.Attendance = membership.NewAttendance(id.GenerationalNode{Node: 3, Generation: 1}, a.view, a.desks, worker, h)
	return a
}

// run runs a part until the function that it returns is called.
func (a *attending) run(p lifecycle.Part) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("part", p.Run)
	stop = func() {
		cancel()
		if err := g.Wait(); err != nil {
			a.t.Error(err)
		}
	}
	a.t.Cleanup(stop)
	return stop
}

// met is the next connection, and its first beat.
func (a *attending) met(with id.Node) *meeting {
	a.t.Helper()
	m := <-a.desks.met
	if m.with != with {
		a.t.Fatalf("connected to %s, want %s", m.with, with)
	}
	a.told(m, false)
	return m
}

func (a *attending) told(m *meeting, leaving bool) beat {
	a.t.Helper()
	b := <-m.told
	if b.leaving != leaving {
		a.t.Errorf("leaving %t, want %t", b.leaving, leaving)
	}
	return b
}

func TestBeats(t *testing.T) {
	w := &laborer{role: placement.Follows}
	a := newAttending(t, w)
	a.run(a.Attendance)
	m := a.met(1)
	for range 3 {
		a.clock.Await(1)
		w.is(placement.Leads)
		a.clock.Advance(199 * time.Millisecond)
		if a.clock.Armed() != 1 {
			t.Fatal("told before it was time")
		}
		a.clock.Advance(time.Millisecond)
		if b := a.told(m, false); len(b.statuses) != 1 || b.statuses[0].Role != placement.Leads {
			t.Errorf("told %v", b.statuses)
		}
	}
}

// The lag of a beat is from when it was due until the connection took it.
func TestTheLagOfBeats(t *testing.T) {
	w := &laborer{}
	a := newAttending(t, w)
	w.takes = func() { a.clock.Advance(70 * time.Millisecond) } // to say how its partitions stand
	a.run(a.Attendance)
	m := a.met(1)
	a.clock.Await(1)
	w.mu.Lock()
	w.takes = nil
	w.mu.Unlock()
	a.clock.Advance(200 * time.Millisecond) // this one is in time
	a.told(m, false)
	a.clock.Await(1)
	if err := testutil.GatherAndCompare(a.metrics, strings.NewReader(`
# HELP reprise_membership_beat_lag_max_seconds The longest lag of a beat since this process started.
# TYPE reprise_membership_beat_lag_max_seconds gauge
reprise_membership_beat_lag_max_seconds 0.07
`), "reprise_membership_beat_lag_max_seconds"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(a.metrics, "reprise_membership_beat_lag_seconds"); n != 1 || err != nil {
		t.Errorf("%d histograms of the lag: %v", n, err)
	}
}

func TestCalls(t *testing.T) {
	w := &laborer{err: errors.New("it is not held here")} // which is no reason to end the connection
	a := newAttending(t, w)
	a.run(a.Attendance)
	m := a.met(1)
	for _, c := range []call{{5, 7}, {6, 1}} {
		m.calls <- c
		if got := <-w.called; got != c {
			t.Errorf("called %v, want %v", got, c)
		}
	}
}

func TestNoWorkerIsNotCalled(t *testing.T) {
	a := newAttending(t, nil)
	a.run(a.Attendance)
	m := a.met(1)
	m.calls <- call{5, 7}
	m.calls <- call{5, 7} // the first did no harm
	a.clock.Await(1)
	a.clock.Advance(200 * time.Millisecond)
	if b := a.told(m, false); b.statuses != nil {
		t.Errorf("told %v", b.statuses)
	}
}

func TestAConnectionIsMadeAgain(t *testing.T) {
	a := newAttending(t, &laborer{})
	a.run(a.Attendance)
	close((<-a.desks.met).ended)
	a.clock.Await(1) // the pause
	a.desks.fail(errors.New("refused"))
	a.clock.Advance(100 * time.Millisecond)
	<-a.desks.met
	a.clock.Await(1)
	a.desks.fail(nil)
	a.clock.Advance(100 * time.Millisecond)
	a.met(1)
}

// It attends at all metadata daemons, also new ones, but not at itself.
func TestAllMetadataDaemonsAreAttended(t *testing.T) {
	a := newAttending(t, nil)
	a.view.snapshot.Nodes[2].Roles = []string{metastore.RoleMetadata} // itself
	a.run(a.Attendance)
	a.met(1)
	a.view.show(func(s *metastore.Snapshot) {
		s.Nodes = append(s.Nodes, &storedv1.Node{Id: 4, Roles: []string{metastore.RoleWorker}}, &storedv1.Node{Id: 5, Roles: []string{metastore.RoleMetadata}})
	})
	a.met(5)
}

// A process of several roles attends at itself for its worker.
func TestAWorkerAttendsAtItsOwnMetadataDaemon(t *testing.T) {
	a := newAttending(t, &laborer{})
	a.view.snapshot.Nodes[0].Roles = []string{metastore.RoleWorker}
	a.view.snapshot.Nodes[2].Roles = []string{metastore.RoleMetadata, metastore.RoleWorker}
	a.run(a.Attendance)
	a.met(3)
}

// One that was removed is left alone, once its connection ends.
func TestARemovedMetadataDaemon(t *testing.T) {
	a := newAttending(t, nil)
	stop := a.run(a.Attendance)
	m := <-a.desks.met
	a.view.show(func(s *metastore.Snapshot) { s.Nodes = s.Nodes[1:] })
	close(m.ended)
	for range 3 {
		a.clock.Await(1) // the pause; while it connected, nothing would be armed
		a.clock.Advance(100 * time.Millisecond)
	}
	a.clock.Await(1)
	stop()
}

func (a *attending) led(holders ...uint32) {
	a.worker.is(placement.Leads)
	a.view.show(func(s *metastore.Snapshot) {
		s.Epochs = []*storedv1.Epoch{{Epoch: 4, Node: 3, Generation: 1, Replicas: holders}}
	})
}

// ends runs a function in the background; the channel is closed when it returns.
func (a *attending) ends(f func()) <-chan struct{} {
	done := make(chan struct{})
	g := lifecycle.NewGroup(context.Background())
	g.Go("stop", func(context.Context) error {
		defer close(done)
		f()
		return nil
	})
	return done
}

// A worker that stops says so at once, serves until others lead what it leads, and takes nothing new.
func TestDeparture(t *testing.T) {
	w := &laborer{}
	a := newAttending(t, w)
	a.led(3, 2)
	a.run(a.Attendance)
	depart := a.run(a.Departure())
	m := a.met(1)
	a.clock.Await(1)
	departed := a.ends(depart)
	if b := a.told(m, true); b.statuses[0].Role != placement.Leads {
		t.Errorf("told %v", b.statuses)
	}
	m.calls <- call{0, 4} // ignored, or the next one would block
	m.calls <- call{0, 4}
	a.clock.Await(2) // the next beat, and the next look at whether it still leads
	a.clock.Advance(10 * time.Millisecond)
	a.clock.Await(2)
	if fired(departed) {
		t.Error("departed while it leads")
	}
	w.is(placement.Follows)
	a.clock.Advance(10 * time.Millisecond)
	<-departed
	a.clock.Advance(200 * time.Millisecond)
	a.told(m, true)
}

func fired(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestDepartureWaitsASecondAtMost(t *testing.T) {
	a := newAttending(t, &laborer{})
	a.led(3, 2)
	departed := a.ends(a.run(a.Departure()))
	begin := a.clock.Now()
	for range 100 {
		a.clock.Await(1)
		if fired(departed) {
			t.Fatalf("departed after %s", a.clock.Now().Sub(begin))
		}
		a.clock.Advance(10 * time.Millisecond)
	}
	<-departed
}

// Where nobody could take over, nobody is waited for.
func TestDepartureWithoutOthers(t *testing.T) {
	for name, prepare := range map[string]func(*attending){
		"nobody else holds anything": func(a *attending) { a.led(3) },
		"the other holder is away": func(a *attending) {
			a.led(3, 2)
			a.view.show(func(s *metastore.Snapshot) { s.Present = s.Present[2:] })
		},
		"it leads nothing": func(a *attending) { a.led(3, 2); a.worker.is(placement.Follows) },
		"another leads": func(a *attending) {
			a.led(3, 2)
			a.view.show(func(s *metastore.Snapshot) { s.Epochs[0].Node = 2 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttending(t, &laborer{})
			prepare(a)
			a.run(a.Departure())() // it returns although the clock stands
		})
	}
	t.Run("no worker", func(t *testing.T) {
		a := newAttending(t, nil)
		a.run(a.Departure())()
	})
}

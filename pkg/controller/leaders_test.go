package controller_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// view shows what the test says.
type view struct {
	mu      sync.Mutex
	shown   metastore.Snapshot
	changed chan struct{}
}

func (v *view) Current() *metastore.Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.shown
	return &s
}

func (v *view) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

func (v *view) show(epochs ...*storedv1.Epoch) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shown.Epochs = epochs
	close(v.changed)
	v.changed = make(chan struct{})
}

// leaders is the part of metadata daemon 2 of a cluster of metadata daemons 1 and 2 and workers 3 to 5.
type leaders struct {
	*roster
	*controller.Leaders
	view   *view
	called chan placement.Call
	visits map[id.Node]*controller.Visit
	beats  map[id.Node]controller.Beat // what they say
}

func newLeaders(t *testing.T) *leaders {
	t.Helper()
	l := &leaders{roster: newRoster(t), view: &view{changed: make(chan struct{})}, called: make(chan placement.Call, 100), visits: map[id.Node]*controller.Visit{}, beats: map[id.Node]controller.Beat{}}
	for n := uint32(1); n <= 5; n++ {
		role := metastore.RoleWorker
		if n <= 2 {
			role = metastore.RoleMetadata
		}
		l.view.shown.Nodes = append(l.view.shown.Nodes, &storedv1.Node{Id: n, Generation: 1, Roles: []string{role}, WorkerState: active})
	}
	l.Leaders = controller.NewLeaders(2, l.view, l.Roster, hosttest.New(l.clock, 1))
	l.Begin()
	return l
}

func (l *leaders) enter(nodes ...id.GenerationalNode) {
	for _, n := range nodes {
		l.visits[n.Node] = l.Enter(n, func(c placement.Call) { l.called <- c })
	}
}

// pass moves the clock while all beat but those that are named, and looks now and then.
func (l *leaders) pass(d time.Duration, silent ...id.Node) {
	const tick = 100 * time.Millisecond
	for ; d > 0; d -= tick {
		l.clock.Advance(min(d, tick))
		for n, v := range l.visits {
			if !slices.Contains(silent, n) {
				v.Beat(l.beats[n])
			}
		}
		l.Roster.Look(0)
		l.Leaders.Look()
	}
}

func (l *leaders) wantCalls(when string, want ...placement.Call) {
	l.t.Helper()
	var got []placement.Call
	for len(l.called) > 0 {
		got = append(got, <-l.called)
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("%s: calls %v, want %v", when, got, want)
	}
}

func epoch(e uint64, n id.GenerationalNode, holders ...uint32) *storedv1.Epoch {
	return &storedv1.Epoch{Epoch: e, Node: uint32(n.Node), Generation: n.Generation, Replicas: holders}
}

func TestADeadLeaderIsReplacedAtOnce(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4), epoch(2, gen(4, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1), gen(5, 1))
	l.pass(time.Second)
	l.wantCalls("while all live")
	l.pass(1100*time.Millisecond, 3)
	l.wantCalls("after the death of N3", placement.Call{Partition: 0, Node: 4, Over: 7})
}

func TestACallIsRepeatedEveryHalfSecond(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	call := placement.Call{Partition: 0, Node: 4, Over: 7}
	l.pass(1100*time.Millisecond, 3)
	l.wantCalls("after the death", call)
	l.pass(400*time.Millisecond, 3)
	l.wantCalls("before half a second")
	l.pass(100*time.Millisecond, 3)
	l.wantCalls("after half a second", call)
	l.pass(time.Second, 3)
	l.wantCalls("after another second", call, call)
	l.view.show(epoch(8, gen(4, 1), 3, 4))
	l.pass(time.Second, 3)
	l.wantCalls("after it worked")
	l.enter(gen(3, 2))
	l.pass(1100*time.Millisecond, 4)
	l.wantCalls("after the next death, of another epoch", placement.Call{Partition: 0, Node: 3, Over: 8})
}

func TestACallOfWhoDiesIsGivenToAnotherAtOnce(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4, 5))
	l.enter(gen(3, 1), gen(4, 1), gen(5, 1))
	l.pass(800 * time.Millisecond)
	l.pass(300*time.Millisecond, 3)
	l.pass(800*time.Millisecond, 3, 4) // N3 dies first
	l.wantCalls("after the death of N3", placement.Call{Partition: 0, Node: 4, Over: 7})
	l.pass(300*time.Millisecond, 3, 4)
	l.wantCalls("after the death of N4", placement.Call{Partition: 0, Node: 5, Over: 7})
}

func TestALeaderThatLeavesIsReplaced(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	l.visits[3].Beat(controller.Beat{Leaving: true})
	l.Leaders.Look()
	l.wantCalls("while it serves", placement.Call{Partition: 0, Node: 4, Over: 7})
}

// Who just started has not heard of all that live.
func TestStrangersLiveForTwoSeconds(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(4, 1))
	l.pass(1900 * time.Millisecond)
	l.wantCalls("before N3 had time to connect")
	l.pass(200 * time.Millisecond)
	l.wantCalls("after that", placement.Call{Partition: 0, Node: 4, Over: 7})
}

// But who was there and died is no stranger.
func TestADeathSoonAfterTheStart(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	l.pass(1100*time.Millisecond, 3)
	l.wantCalls("after the death", placement.Call{Partition: 0, Node: 4, Over: 7})
}

func TestTheLowestLivingMetadataDaemonActs(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(1, 1), gen(3, 1), gen(4, 1))
	l.pass(2*time.Second, 3)
	l.wantCalls("while N1 acts")
	l.visits[1].Beat(controller.Beat{Leaving: true})
	l.Leaders.Look()
	l.wantCalls("when N1 leaves", placement.Call{Partition: 0, Node: 4, Over: 7})
	l.visits[1].Beat(controller.Beat{})
	l.pass(2*time.Second, 3)
	l.wantCalls("when N1 is back")
	l.pass(1100*time.Millisecond, 1, 3)
	l.wantCalls("when N1 is dead", placement.Call{Partition: 0, Node: 4, Over: 7})
}

// A worker with a low id does not act.
func TestWorkersDoNotAct(t *testing.T) {
	l := newLeaders(t)
	l.view.shown.Nodes[0].Roles = []string{metastore.RoleWorker}
	l.view.show(epoch(7, gen(3, 1), 3, 1))
	l.enter(gen(1, 1), gen(3, 1))
	l.pass(1100*time.Millisecond, 3)
	l.wantCalls("after the death", placement.Call{Partition: 0, Node: 1, Over: 7})
}

// The next process of the node that led begins by itself, and has 1.5 s for it.
func TestWhoBeginsByItselfHasItsTime(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	l.pass(time.Second)
	l.enter(gen(3, 2))
	l.pass(1500 * time.Millisecond)
	l.wantCalls("within its time")
	l.pass(100 * time.Millisecond)
	l.wantCalls("after it", placement.Call{Partition: 0, Node: 4, Over: 7})
}

// Its time begins when the leader is missing, not when this daemon begins to act.
func TestItsTimeIsTheSameForWhoActsNext(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	l.pass(time.Second) // it acts, and sees the leader
	l.enter(gen(1, 1))
	l.pass(time.Minute) // N1 acts
	l.visits[1].Beat(controller.Beat{Leaving: true})
	l.enter(gen(3, 2))
	l.Leaders.Look()
	l.wantCalls("when leader and N1 are gone a moment ago")
}

// Where partitions are placed late, their first holder has its time from then on.
func TestTimeBeginsWithThePlacement(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(0, gen(0, 0)))
	l.enter(gen(3, 1), gen(4, 1))
	l.pass(time.Minute)
	l.view.show(epoch(0, gen(0, 0), 3, 4))
	l.pass(1500 * time.Millisecond)
	l.wantCalls("within its time")
	l.pass(200 * time.Millisecond)
	if len(l.called) != 1 {
		t.Errorf("%d calls after it", len(l.called))
	}
}

// The part looks by itself at each change, and at its ticks.
func TestLeadersRun(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("leaders", l.Leaders.Run)
	l.clock.Await(1)
	l.visits[3].Beat(controller.Beat{Leaving: true}) // a change of the roster
	if c := <-l.called; c != (placement.Call{Partition: 0, Node: 4, Over: 7}) {
		t.Errorf("called %v", c)
	}
	l.view.show(epoch(8, gen(3, 1), 3, 4)) // of the view
	if c := <-l.called; c.Over != 8 {
		t.Errorf("called %v", c)
	}
	for l.clock.Advance(500 * time.Millisecond); ; l.clock.Advance(100 * time.Millisecond) { // nothing changes
		l.clock.Await(1)
		if len(l.called) > 0 {
			break
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// says has workers say how partitions stand there, the same with each beat.
func (l *leaders) says(n id.Node, statuses ...placement.Status) {
	l.beats[n] = controller.Beat{Statuses: statuses}
}

func leads(e lsn.Epoch, applied lsn.LSN, works bool) placement.Status {
	return placement.Status{Role: placement.Leads, Epoch: e, Applied: applied, Works: works}
}

func followsAt(applied lsn.LSN) placement.Status {
	return placement.Status{Role: placement.Follows, Applied: applied}
}

// A worker that is drained gives away what it leads as soon as another is up to date.
func TestADrainedLeaderIsMoved(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4, 5))
	l.enter(gen(3, 1), gen(4, 1), gen(5, 1))
	l.says(3, leads(7, 9000, false))
	l.says(4, followsAt(9000))
	l.says(5, followsAt(100))
	l.pass(time.Second)
	l.wantCalls("while it is active")
	l.view.shown.Nodes[2].WorkerState = draining
	l.says(4, followsAt(100))
	l.pass(time.Second)
	l.wantCalls("while nobody is up to date")
	l.says(5, followsAt(8999))
	l.pass(100 * time.Millisecond)
	call := placement.Call{Partition: 0, Node: 5, Over: 7}
	l.wantCalls("once somebody is", call)
	l.pass(900 * time.Millisecond)
	l.wantCalls("within a second")
	l.pass(2200 * time.Millisecond)
	l.wantCalls("a second after the first call, and two after the next", call, call)
}

// A leader with work that makes no progress for two seconds is moved, though its process lives; then it stays a while, each time
// longer.
func TestAStuckLeaderIsMoved(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	l.says(4, followsAt(9000))
	for i := range 30 {
		l.says(3, leads(7, 9000+lsn.LSN(i), true))
		l.pass(300 * time.Millisecond)
	}
	l.wantCalls("while it gets on")
	l.says(3, leads(7, 9030, false))
	l.pass(10 * time.Second)
	l.wantCalls("while there is nothing to do")
	l.says(3, leads(7, 9030, true))
	l.pass(2 * time.Second)
	l.wantCalls("within two seconds")
	l.pass(200 * time.Millisecond)
	call := placement.Call{Partition: 0, Node: 4, Over: 7}
	l.wantCalls("after them", call)
	l.view.show(epoch(8, gen(4, 1), 3, 4)) // and the other one is stuck as well
	l.says(3, followsAt(9030))
	back := placement.Call{Partition: 0, Node: 3, Over: 8}
	l.says(4, leads(8, 9030, true))
	l.pass(2 * time.Second)
	l.wantCalls("within its two seconds")
	l.pass(200 * time.Millisecond)
	l.wantCalls("after them", back)
	l.view.show(epoch(9, gen(3, 1), 3, 4))
	l.says(4, followsAt(9030))
	l.says(3, leads(9, 9030, true))
	l.pass(2200 * time.Millisecond)
	again := placement.Call{Partition: 0, Node: 4, Over: 9}
	l.wantCalls("after two more", again)
	for pause := 4 * time.Second; pause <= 16*time.Second; pause *= 2 { // and nobody takes it over
		l.pass(pause - 600*time.Millisecond)
		l.wantCalls("before " + pause.String())
		l.pass(600 * time.Millisecond)
		l.wantCalls("after "+pause.String(), again)
	}
}

// Who is to lead and does not, since it reaches no log-server, is replaced after two seconds, unless it gets on; and if who is
// called does not lead either, the next one is.
func TestALeaderThatDoesNotLeadIsReplaced(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4, 5))
	l.enter(gen(3, 1), gen(4, 1), gen(5, 1))
	l.says(4, followsAt(9000))
	l.says(5, followsAt(9000))
	for i := range 20 {
		l.says(3, placement.Status{Applied: 100 + lsn.LSN(i)}) // it replays
		l.pass(300 * time.Millisecond)
	}
	l.wantCalls("while it gets on")
	l.pass(1600 * time.Millisecond)
	l.wantCalls("within two seconds")
	l.pass(400 * time.Millisecond)
	l.wantCalls("after them", placement.Call{Partition: 0, Node: 4, Over: 7})
	l.pass(1100 * time.Millisecond)
	l.wantCalls("a second later", placement.Call{Partition: 0, Node: 5, Over: 7})
}

// A dead leader's partition goes to another if the first that is called does not lead.
func TestTheNextIsCalled(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4, 5))
	l.enter(gen(3, 1), gen(4, 1), gen(5, 1))
	l.says(4, followsAt(9000))
	l.says(5, followsAt(9000))
	l.pass(1100*time.Millisecond, 3)
	l.wantCalls("after the death", placement.Call{Partition: 0, Node: 4, Over: 7})
	l.pass(500*time.Millisecond, 3)
	l.wantCalls("after half a second", placement.Call{Partition: 0, Node: 5, Over: 7})
	l.pass(500*time.Millisecond, 3)
	l.wantCalls("after another", placement.Call{Partition: 0, Node: 4, Over: 7})
}

// A daemon that was late itself blames nobody.
func TestALateDaemonMovesNobody(t *testing.T) {
	l := newLeaders(t)
	l.view.show(epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	l.says(3, leads(7, 9000, true))
	l.says(4, followsAt(9000))
	l.pass(time.Second)
	l.clock.Advance(time.Minute)
	for n, v := range l.visits {
		v.Beat(l.beats[n])
	}
	l.Leaders.Look()
	l.wantCalls("after a minute without a look")
	l.pass(800 * time.Millisecond)
	l.wantCalls("before two seconds of looks")
	l.pass(400 * time.Millisecond)
	l.wantCalls("after them", placement.Call{Partition: 0, Node: 4, Over: 7})
}

// A leader is not called back when its node returns: only when all has been quiet for long, one after the other, leaders
// are evened out.
func TestLeadersAreEvenedOutSlowly(t *testing.T) {
	l := newLeaders(t)
	var epochs []*storedv1.Epoch
	var leading, following []placement.Status
	for range 8 {
		epochs = append(epochs, epoch(7, gen(3, 1), 3, 4))
		leading, following = append(leading, leads(7, 100, false)), append(following, followsAt(100))
	}
	l.view.show(epochs...)
	l.enter(gen(3, 1), gen(4, 1))
	l.says(3, leading...)
	l.says(4, following...)
	l.pass(19 * time.Second)
	l.wantCalls("before all was quiet for long")
	l.enter(gen(5, 1))
	l.says(5, make([]placement.Status, 8)...)
	l.pass(19 * time.Second)
	l.wantCalls("after somebody came")
	l.pass(5 * time.Second)
	if n := len(l.called); n < 2 || n > 3 {
		t.Errorf("%d calls in the seconds after", n)
	}
	for len(l.called) > 0 {
		if c := <-l.called; c.Node != 4 {
			t.Errorf("called %v", c)
		}
	}
	l.view.show(append([]*storedv1.Epoch{epoch(8, gen(1, 1), 1)}, epochs[1:]...)...) // one has no leader
	l.pass(10 * time.Second)
	l.wantCalls("while one has no leader")
}

// Who is frozen is called by nobody, be its leader dead; who is pinned is called back once all is quiet.
func TestDirectives(t *testing.T) {
	l := newLeaders(t)
	why := "maintenance"
	l.view.shown.Directives = []*storedv1.Directive{{LeadershipFrozen: &why}, {Pin: 4}}
	l.view.show(epoch(7, gen(3, 1), 3, 4), epoch(7, gen(3, 1), 3, 4))
	l.enter(gen(3, 1), gen(4, 1))
	l.says(3, leads(7, 100, false), leads(7, 100, false))
	l.says(4, followsAt(100), followsAt(100))
	l.pass(19 * time.Second)
	l.wantCalls("before all was quiet for long")
	l.pass(4 * time.Second)
	l.wantCalls("after that", placement.Call{Partition: 1, Node: 4, Over: 7})
	l.view.show(epoch(7, gen(3, 1), 3, 4), epoch(8, gen(4, 1), 3, 4))
	l.pass(1100*time.Millisecond, 3)
	l.wantCalls("after the death of N3")
}

package controller_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"reprise/pkg/controller"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/placement"
)

func gen(n id.Node, g uint32) id.GenerationalNode { return id.GenerationalNode{Node: n, Generation: g} }

func noCalls(placement.Call) {}

// answers is a probe that asks the test.
type answers struct {
	asked  chan id.Node
	answer chan bool
}

func (a answers) probe(ctx context.Context, n id.Node) bool {
	select {
	case a.asked <- n:
	case <-ctx.Done():
		return true
	}
	select {
	case x := <-a.answer:
		return x
	case <-ctx.Done():
		return false // as a dial that was cut off
	}
}

// roster is one with a fake clock.
type roster struct {
	*controller.Roster
	t     *testing.T
	clock *hosttest.Clock
	answers
	metrics prometheus.Gatherer
}

func newRoster(t *testing.T) *roster {
	t.Helper()
	r := &roster{t: t, clock: hosttest.NewClock(), answers: answers{asked: make(chan id.Node), answer: make(chan bool)}}
	h := hosttest.New(r.clock, 1)
	r.Roster, r.metrics = controller.NewRoster(r.probe, h), h.Metrics
	return r
}

// run runs it until the test ends, or until the function that it returns is called.
func (r *roster) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("roster", r.Run)
	stop = func() {
		cancel()
		if err := g.Wait(); err != nil {
			r.t.Error(err)
		}
	}
	r.t.Cleanup(stop)
	r.clock.Await(1)
	return stop
}

// step moves the clock and waits until the roster has looked.
func (r *roster) step(d time.Duration) {
	armed := r.clock.Armed()
	r.clock.Advance(d)
	r.clock.Await(armed)
}

func (r *roster) ids() []id.GenerationalNode {
	var all []id.GenerationalNode
	for _, a := range r.Alive() {
		all = append(all, a.ID)
	}
	return all
}

func (r *roster) want(when string, want ...id.GenerationalNode) {
	r.t.Helper()
	if got := r.ids(); !slices.Equal(got, want) {
		r.t.Errorf("%s: %v live, want %v", when, got, want)
	}
}

func fired(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestSilenceOfASecondIsDeath(t *testing.T) {
	r := newRoster(t)
	a, b := r.Enter(gen(1, 1), noCalls), r.Enter(gen(2, 1), noCalls)
	changed := r.Changed()
	r.clock.Advance(time.Second)
	b.Beat(controller.Beat{})
	r.Look(0)
	r.want("after a second", gen(1, 1), gen(2, 1))
	if fired(changed) {
		t.Error("beats that say nothing new are no change")
	}
	r.clock.Advance(time.Millisecond)
	r.Look(0)
	r.want("after more", gen(2, 1))
	if !fired(changed) {
		t.Error("nobody was told of the death")
	}
	if r.Call(placement.Call{Node: 1}) {
		t.Error("called a dead one")
	}
	changed = r.Changed()
	a.Beat(controller.Beat{})
	r.want("after its next beat", gen(1, 1), gen(2, 1))
	if !fired(changed) {
		t.Error("nobody was told that it lives")
	}
	r.Look(0)
	if err := testutil.GatherAndCompare(r.metrics, strings.NewReader(`
# HELP reprise_controller_deaths_total Processes that this metadata daemon declared dead: they were silent for too long, or nobody listened at their port any more.
# TYPE reprise_controller_deaths_total counter
reprise_controller_deaths_total 1
`), "reprise_controller_deaths_total"); err != nil {
		t.Error(err)
	}
}

func TestBeatsAreSeenByOthers(t *testing.T) {
	r := newRoster(t)
	v := r.Enter(gen(1, 1), noCalls)
	changed := r.Changed()
	v.Beat(controller.Beat{Leaving: true, Statuses: []placement.Status{{Role: placement.Leads, Applied: 7}}})
	if !fired(changed) {
		t.Error("leaving is a change")
	}
	a := r.Alive()
	if len(a) != 1 || !a[0].Leaving || a[0].Status(0).Applied != 7 {
		t.Errorf("%+v", a)
	}
}

// Who was late itself blames nobody for it, and does not wait longer for those that it has heard of.
func TestAnOwnLateTickIsNobodysSilence(t *testing.T) {
	r := newRoster(t)
	r.Enter(gen(1, 1), noCalls)
	r.run()
	r.step(3 * time.Second)
	for range 19 {
		r.step(50 * time.Millisecond)
	}
	r.want("a second after the late look", gen(1, 1))
	r.step(50 * time.Millisecond)
	r.want("after more")
}

func TestALittleLatenessIsNotForgiven(t *testing.T) {
	r := newRoster(t)
	r.Enter(gen(1, 1), noCalls)
	r.clock.Advance(1100 * time.Millisecond)
	r.Look(100 * time.Millisecond)
	r.want("after 1.1 s")
}

func TestLatenessIsForgivenUpToNow(t *testing.T) {
	r := newRoster(t)
	v := r.Enter(gen(1, 1), noCalls)
	r.clock.Advance(10 * time.Second)
	v.Beat(controller.Beat{}) // before the look that comes too late
	r.Look(9950 * time.Millisecond)
	r.clock.Advance(1001 * time.Millisecond)
	r.Look(0)
	r.want("a second later")
}

func TestARefusedProbeIsDeath(t *testing.T) {
	r := newRoster(t)
	v := r.Enter(gen(1, 1), noCalls)
	r.run()
	changed := r.Changed()
	v.Leave()
	if n := <-r.asked; n != 1 {
		t.Errorf("probed %s", n)
	}
	r.want("while it is probed", gen(1, 1))
	r.answer <- false
	<-changed
	r.want("after it")
}

// The connections of a process may end before its listener.
func TestAnAnsweredProbeIsRepeated(t *testing.T) {
	r := newRoster(t)
	v := r.Enter(gen(1, 1), noCalls)
	r.run()
	changed := r.Changed()
	v.Leave()
	<-r.asked
	r.answer <- true
	r.clock.Await(2) // the look, and the next probe
	r.want("after an answer", gen(1, 1))
	r.clock.Advance(50 * time.Millisecond)
	<-r.asked
	r.answer <- false
	<-changed
	r.want("after a refusal")
}

func TestAnAnsweredProbeLeavesItToSilence(t *testing.T) {
	r := newRoster(t)
	v := r.Enter(gen(1, 1), noCalls)
	r.run()
	changed := r.Changed()
	v.Leave()
	probes := 0
	for !fired(changed) {
		if probes++; probes > 30 {
			t.Fatal("it lives after more than a second of silence")
		}
		<-r.asked
		r.answer <- true
		r.clock.Await(2) // the look, and the next probe
		r.clock.Advance(50 * time.Millisecond)
		r.clock.Await(1) // it has looked
	}
	if probes != 21 {
		t.Errorf("dead after %d probes", probes)
	}
}

// A process that has another connection is not suspected for the end of the first.
func TestReconnecting(t *testing.T) {
	r := newRoster(t)
	r.run()
	first := r.Enter(gen(1, 1), noCalls)
	first.Beat(controller.Beat{Statuses: []placement.Status{{Applied: 5}}})
	first.Leave()
	<-r.asked
	r.Enter(gen(1, 1), noCalls)
	r.answer <- false // for the first
	other, changed := r.Enter(gen(2, 1), noCalls), r.Changed()
	other.Leave()
	<-r.asked
	r.answer <- false
	<-changed
	if a := r.Alive(); len(a) != 1 || a[0].ID != gen(1, 1) || a[0].Status(0).Applied != 5 {
		t.Errorf("%+v live", a)
	}
}

func TestTheNewerGenerationCounts(t *testing.T) {
	r := newRoster(t)
	var called []string
	enter := func(g id.GenerationalNode, name string) *controller.Visit {
		return r.Enter(g, func(placement.Call) { called = append(called, name) })
	}
	old := enter(gen(1, 3), "3")
	enter(gen(1, 4), "4")
	enter(gen(1, 2), "2")
	r.want("after three", gen(1, 4))
	old.Beat(controller.Beat{Leaving: true})
	if r.Alive()[0].Leaving {
		t.Error("the older process spoke for the newer")
	}
	if !r.Call(placement.Call{Node: 1}) || !slices.Equal(called, []string{"4"}) {
		t.Errorf("called %v", called)
	}
	if !r.Known(1) || r.Known(2) || r.Call(placement.Call{Node: 2}) {
		t.Error("N2 was never there")
	}
}

// A connection that ends while the roster does not run is left to silence.
func TestLeavingAStoppedRoster(t *testing.T) {
	r := newRoster(t)
	v := r.Enter(gen(1, 1), noCalls)
	v.Leave()
	stop := r.run()
	stop()
	v.Leave()
	r.want("after it stopped", gen(1, 1))
}

// A probe that is cut off by the end of the roster proves nothing.
func TestAProbeThatIsCutOff(t *testing.T) {
	r := newRoster(t)
	v := r.Enter(gen(1, 1), noCalls)
	stop := r.run()
	v.Leave()
	<-r.asked
	stop()
	r.want("after it stopped", gen(1, 1))
}

// How processes stand, as metrics show it.
func TestStandings(t *testing.T) {
	r := newRoster(t)
	a, b, c := r.Enter(gen(1, 1), noCalls), r.Enter(gen(2, 1), noCalls), r.Enter(gen(3, 1), noCalls)
	a.Beat(controller.Beat{})
	b.Beat(controller.Beat{Leaving: true})
	c.Leave()
	of := func(n id.Node) (s controller.Standing) {
		for _, x := range r.Standings() {
			if x.Node == n {
				s = x
			}
		}
		return s
	}
	for n, want := range map[id.Node]controller.Standing{1: {Node: 1}, 2: {Node: 2, Leave: true}, 3: {Node: 3, Suspect: true}} {
		if got := of(n); got != want {
			t.Errorf("%s: %+v, want %+v", n, got, want)
		}
	}
	r.clock.Advance(1001 * time.Millisecond)
	a.Beat(controller.Beat{})
	r.Look(0)
	if !of(2).Dead || !of(3).Dead || of(1).Dead {
		t.Errorf("after a second of silence: %+v", r.Standings())
	}
	if n := r.Beats(); n != 3 {
		t.Errorf("%d beats came, not 3", n)
	}
}

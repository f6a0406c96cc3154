package processor_test

import (
	"math"
	"strconv"
	"testing"
	"time"

	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/id"
)

func (w *world) at(d time.Duration) string {
	return strconv.FormatInt(host.Millis(w.clock)+d.Milliseconds(), 10)
}

func TestTimers(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	n.want(sleep, "soon", w.at(30*time.Millisecond), "awake")
	n.want(sleep, "past", w.at(-time.Hour), "awake")

	never := n.submit(sleep.request("never", strconv.FormatInt(math.MaxInt64, 10), command.WantCompleted))
	far := n.submit(sleep.request("far", w.at(3*time.Hour), command.WantCompleted))
	near := n.submit(sleep.request("near", w.at(8*time.Minute), command.WantCompleted))
	kept := func() int { return n.TimersKept(0) + n.TimersKept(1) }
	eventually(t, "three sleep", func() bool { return w.endpoint.count("sleep") >= 3 && kept() == 1 })
	w.clock.skip(time.Hour)
	if a := n.answerOf(near); a.err != nil || string(a.outcome.Result.GetValue()) != "awake" {
		t.Errorf("near: %+v, %v", a.outcome, a.err)
	}
	for range 4 { // beyond the horizon of the time before, each time
		w.clock.skip(30 * time.Minute)
		eventually(t, "the time is seen", func() bool { return n.HorizonAfter(w.clock.Now()) })
	}
	if a := n.answerOf(far); a.err != nil || string(a.outcome.Result.GetValue()) != "awake" {
		t.Errorf("far: %+v, %v", a.outcome, a.err)
	}
	select {
	case a := <-never:
		t.Errorf("never: %+v, %v", a.outcome, a.err)
	default:
	}
}

// Sleepers wake once, also those of a process that died, and all that are due at once.
func TestSleepersSurvive(t *testing.T) {
	const sleepers = 300
	w := newWorld(t, 2, 2)
	n := w.start("a")
	due := w.at(5 * time.Minute)
	for i := range sleepers {
		a := n.answerOf(n.submit(sleep.request(strconv.Itoa(i), due, command.WantAccepted)))
		must(t, a.err)
	}
	eventually(t, "all sleep", func() bool { return n.TimersKept(0)+n.TimersKept(1) == sleepers })
	n.crash()
	n = w.start("a")
	eventually(t, "all are found again", func() bool { return n.TimersKept(0)+n.TimersKept(1) == sleepers })
	w.clock.skip(5 * time.Minute)
	for i := range sleepers {
		n.want(sleep, strconv.Itoa(i), due, "awake")
	}
	if got := n.TimersKept(0) + n.TimersKept(1); got != 0 {
		t.Errorf("%d timers are left", got)
	}
}

// The timer of an invocation that ended goes unnoticed: no command tells of it.
func TestTimerOfTheEnded(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	i := sleep.request("ends", w.at(time.Minute), command.WantAccepted)
	n.wantStatus(i, command.OutcomeAccepted)
	eventually(t, "it sleeps", func() bool { return n.TimersKept(0) == 1 })
	n.wantStatus(operate(command.Kill, i.ID, nil), command.OutcomeAccepted)
	if got := n.Rows(0).Timers; got != 0 {
		t.Errorf("%d timers have a row", got)
	}
	w.clock.skip(time.Minute)
	eventually(t, "the timer is gone", func() bool { return n.TimersKept(0) == 0 })
	n.want(echo, "after", "x", "x") // its record comes after that of the timer, if there is one
	fired := 0
	w.log.groups(0, func(_ uint32, records []byte) {
		for len(records) > 0 {
			rec, rest, err := command.Next(records)
			must(t, err)
			if command.KindOf(rec) == command.Fire {
				fired++
			}
			records = rest
		}
	})
	if fired != 0 {
		t.Errorf("%d timers fired", fired)
	}
}

// Every partition calls every other one, and itself.
func TestCallsBetweenPartitions(t *testing.T) {
	w := newWorld(t, 4, 2)
	n := w.start("a")
	for to := range id.Partition(4) {
		key := w.keyIn(to, 0)
		for from := range id.Partition(4) {
			n.want(relay, w.nameIn(from, relay, key), key, strconv.Itoa(int(from)+1))
		}
	}
}

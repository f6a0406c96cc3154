package hosttest

import (
	"context"
	"testing"
	"time"

	"reprise/pkg/lifecycle"
)

func TestClockFiresInOrderOfDueTime(t *testing.T) {
	c := NewClock()
	late, early := c.NewTimer(2*time.Second), c.NewTimer(time.Second)
	c.Advance(999 * time.Millisecond)
	select {
	case <-early.C():
		t.Fatal("fired before it was due")
	default:
	}
	c.Advance(time.Millisecond)
	<-early.C()
	if c.Armed() != 1 {
		t.Fatalf("%d timers armed, want 1", c.Armed())
	}
	if !late.Stop() || late.Stop() {
		t.Fatal("stop must report the armed timer once")
	}
	c.Advance(time.Hour)
	select {
	case <-late.C():
		t.Fatal("a stopped timer fired")
	default:
	}
	if late.Reset(0) {
		t.Fatal("reset of a stopped timer reported it armed")
	}
	<-late.C()
}

func TestResetTakesBackAnUnseenFire(t *testing.T) {
	c := NewClock()
	tm := c.NewTimer(time.Second)
	c.Advance(time.Second)
	if !tm.Reset(time.Second) {
		t.Fatal("the fire was not taken back")
	}
	select {
	case <-tm.C():
		t.Fatal("an old fire was left in the channel")
	default:
	}
}

func TestAwaitSeesATimerOfAnotherGoroutine(t *testing.T) {
	c := NewClock()
	var got time.Time
	g := lifecycle.NewGroup(t.Context())
	g.Go("waiter", func(context.Context) error {
		got = <-c.NewTimer(time.Minute).C()
		return nil
	})
	c.Await(1)
	c.Advance(time.Minute)
	if err := g.Wait(); err != nil || !got.Equal(c.Now()) {
		t.Fatalf("fired at %v (%v), want %v", got, err, c.Now())
	}
}

func TestRandIsRepeatable(t *testing.T) {
	a, b := NewRand(7), NewRand(7)
	if a.Uint64() != b.Uint64() || NewRand(8).Uint64() == NewRand(7).Uint64() {
		t.Fatal("the seed must decide the numbers")
	}
}

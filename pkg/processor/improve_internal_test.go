package processor

import (
	"testing"
	"time"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

func TestImprovementsAreDamped(t *testing.T) {
	x := newImprovements(5 * time.Second)
	now := time.Unix(1000, 0)
	epoch := lsn.Epoch(1)
	// look goes on by a second and says whether partition 0 is moved.
	look := func(why string) bool {
		now = now.Add(time.Second)
		act := x.step(now, []finding{{partition: 0, epoch: epoch, why: why}})
		for _, f := range act {
			x.moved(f.partition, now)
		}
		return len(act) > 0
	}
	until := func(why string, most int) (looks int) {
		for looks = 1; looks <= most; looks++ {
			if look(why) {
				return looks
			}
		}
		return 0
	}
	if look("") {
		t.Error("a good nodeset was left")
	}
	for range 4 {
		look("dead")
	}
	if look("") || until("dead", 5) != 0 {
		t.Error("a short absence moved it")
	}
	if got := until("dead", 10); got != 1 {
		t.Errorf("moved after %d more looks", got)
	}
	epoch++
	if got := until("dead", 100); got != 30 {
		t.Errorf("moved again after %d s", got)
	}
	epoch++
	if got := until("dead", 100); got != 60 {
		t.Errorf("moved a third time after %d s", got)
	}
	for range 200 {
		look("")
	}
	if got := until("dead", 10); got != 6 {
		t.Errorf("after a long rest: moved after %d s", got)
	}
	now = now.Add(time.Hour)
	epoch++
	if look("dead") {
		t.Error("a new epoch was moved at once")
	}
}

func TestImprovementsAreAShare(t *testing.T) {
	x := newImprovements(time.Second)
	found := make([]finding, 24)
	for i := range found {
		found[i] = finding{partition: id.Partition(i), epoch: 1, why: "dead"}
	}
	now := time.Unix(1000, 0)
	if act := x.step(now, found); len(act) != 0 {
		t.Errorf("%d moved at once", len(act))
	}
	moved := map[id.Partition]bool{}
	for look := 1; look <= 3; look++ {
		now = now.Add(time.Second)
		act := x.step(now, found)
		if len(act) != 8 {
			t.Errorf("look %d: %d moved", look, len(act))
		}
		for _, f := range act {
			x.moved(f.partition, now)
			moved[f.partition] = true
		}
	}
	if len(moved) != 24 {
		t.Errorf("%d of 24 moved", len(moved))
	}
	if act := x.step(now.Add(time.Second), found[:1]); len(act) != 0 {
		t.Error("one that moved a moment ago moved again")
	}
}

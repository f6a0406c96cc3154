package partitionstore

import (
	"testing"

	"pgregory.net/rapid"
)

// What is told is never less than what is held, and more by about what lies between two marks.
func TestTallyIsNearTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var y tally
		type batch struct {
			applied uint64
			bytes   int64
		}
		var all []batch
		var applied, durable uint64
		step := int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "write") {
				applied += uint64(rapid.IntRange(0, 3).Draw(t, "records"))
				bytes := rapid.Int64Range(1, 100<<10).Draw(t, "bytes")
				y.wrote(bytes, applied)
				step = max(step, y.step)
				all = append(all, batch{applied, bytes})
				continue
			}
			durable = rapid.Uint64Range(durable, applied).Draw(t, "durable")
			held, largest := int64(0), int64(0)
			for _, b := range all {
				largest = max(largest, b.bytes)
				if b.applied > durable {
					held += b.bytes
				}
			}
			got := y.held(durable)
			if got < held {
				t.Fatalf("held %d, told %d", held, got)
			}
			if slack := 2*max(step, markBytes) + 2*largest; got > held+slack {
				t.Fatalf("held %d, told %d: more than %d above", held, got, slack)
			}
			if durable == applied && got != 0 {
				t.Fatalf("all is flushed, told %d", got)
			}
			if len(y.marks) > marksMax {
				t.Fatalf("%d marks", len(y.marks))
			}
		}
	})
}

// However much is held, there are few marks, and nearly all of it is told once it is flushed.
func TestTallyOfALot(t *testing.T) {
	var y tally
	const batches, bytes = 10000, 64 << 10
	for i := range batches {
		y.wrote(bytes, uint64(i+1))
	}
	if len(y.marks) > marksMax {
		t.Errorf("%d marks", len(y.marks))
	}
	if got := y.held(0); got != batches*bytes {
		t.Errorf("%d bytes", got)
	}
	half := int64(batches / 2 * bytes)
	if got := y.held(batches / 2); got < half || got > half+half/8 {
		t.Errorf("half of it: %d bytes, want about %d", got, half)
	}
	if got := y.held(batches); got != 0 {
		t.Errorf("flushed: %d bytes", got)
	}
}

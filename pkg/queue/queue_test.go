package queue_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/queue"
)

// Whoever enters runs at once or waits; at most one runs; who waits runs in the order of arrival, unless it
// withdraws; no one waits for a lock that is free.
func TestQueueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := partitiontest.New()
		name := queue.Name{Service: "S", Key: "k"}
		var line []id.Invocation // first runs
		position := uint64(0)
		at := map[id.Invocation]uint64{}
		for n := range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "enter") || len(line) == 0 {
				position++
				i := id.NewInvocation(1, [16]byte{byte(n + 1)})
				stage, err := queue.Enter(rows, name, queue.Entry{Position: position, ID: i})
				if err != nil {
					t.Fatal(err)
				}
				if (stage == queue.Running) != (len(line) == 0) {
					t.Fatalf("stage %d behind %d others", stage, len(line))
				}
				line = append(line, i)
				at[i] = position
				continue
			}
			if len(line) > 1 && rapid.Bool().Draw(t, "withdraw") {
				k := rapid.IntRange(1, len(line)-1).Draw(t, "who")
				if err := queue.Remove(rows, name, at[line[k]]); err != nil {
					t.Fatal(err)
				}
				line = slices.Delete(line, k, k+1)
				continue
			}
			next, found, err := queue.Leave(rows, name, line[0])
			if err != nil {
				t.Fatal(err)
			}
			line = line[1:]
			if found != (len(line) > 0) || found && next.ID != line[0] {
				t.Fatalf("next is %v %t, the line is %v", next, found, line)
			}
		}
		if _, _, err := queue.Leave(rows, name, id.Invocation{}); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("someone who does not run left: %v", err)
		}
		nobody := queue.Name{Service: "S", Key: "free"}
		if err := queue.Remove(rows, nobody, 1); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("someone who does not wait withdrew: %v", err)
		}
	})
}

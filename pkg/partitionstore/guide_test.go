package partitionstore_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/partitionstore"
)

// walked is one invocation as a walk told it.
type walked struct {
	id      id.Invocation
	status  storedv1.InvocationStatus
	entries uint32 // of its journal, if the walk can read it
}

func walk(t *testing.T, rows *partitionstore.LifeRows, journals bool) (out []walked) {
	t.Helper()
	for {
		inv, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		w := walked{id: inv.ID, status: inv.Row.Status}
		for journals {
			row, err := rows.NextJournal()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			w.entries += row.Entries
		}
		out = append(out, w)
	}
	if _, err := rows.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// A walk over what is not completed tells the same as one over all, whatever stands where, in either direction.
func TestOnlyActive(t *testing.T) {
	s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	l := newLog(t, s)
	r := rand.New(rand.NewPCG(1, 2))
	service := &storedv1.Target{Service: "S"}
	var living []id.Invocation
	check := func(which string) {
		t.Helper()
		snap := snapshot(t, s)
		defer func() { _ = snap.Close() }()
		status := partitionstore.FieldsOf(2)
		for _, journals := range []bool{true, false} {
			want := slices.DeleteFunc(walk(t, snap.Lives(), journals), func(w walked) bool {
				return w.status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED
			})
			if len(want) != len(living) {
				t.Fatalf("%s: %d invocations live, not %d", which, len(want), len(living))
			}
			for name, rows := range map[string]*partitionstore.LifeRows{"all fields": snap.Lives(), "status": snap.LivesWith(status)} {
				rows.OnlyActive(snap)
				if got := walk(t, rows, journals); !slices.Equal(got, want) {
					t.Errorf("%s, %s, journals %v: %d invocations, not %d", which, name, journals, len(got), len(want))
				}
			}
			if journals {
				continue
			}
			rows := snap.LivesWith(status)
			rows.Backward()
			rows.OnlyActive(snap)
			got := walk(t, rows, false)
			slices.Reverse(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s, backward: %d invocations, not %d", which, len(got), len(want))
			}
		}
	}
	end := func(i id.Invocation) { l.step(i, partitiontest.Output("o"), partitiontest.End()) }
	check("empty")
	for n := range 700 { // two or three commands each: most are older than what has no index row
		i := l.invoke(n+1, service)
		for range r.IntN(12) / 10 * 12 { // some journals are longer than what a walk steps over
			l.step(i, partitiontest.SetState("a", "1"))
		}
		switch {
		case n < 300 && n%50 != 0, n >= 350 && r.IntN(3) > 0: // few live, then many, then some
			end(i)
		default:
			living = append(living, i)
		}
		if n%100 == 99 {
			check("in between")
		}
	}
	for range 1100 {
		l.do(command.Header{Kind: command.Read, ID: living[0]}, nil) // all have index rows now
	}
	check("old")
	young := l.invoke(701, service)
	living = append(living, young)
	check("one is young")
	for _, i := range living[:len(living)-1] {
		end(i)
	}
	living = living[len(living)-1:]
	check("only that")
	end(young)
	living = nil
	check("none")
}

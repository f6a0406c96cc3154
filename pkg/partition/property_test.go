package partition_test

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
)

func applyRaw(t *rapid.T, st *partitiontest.State, raw []byte, effects []partition.Effect) []partition.Effect {
	rec, err := command.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	effects, err = partition.Apply(st, rec, effects)
	if err != nil {
		t.Fatalf("record %d, kind %d: %v", rec.LSN, rec.Kind, err)
	}
	return effects
}

// live is what a leader that acts on effects has going.
type live struct {
	activations map[id.Invocation]uint64
	timers      map[partition.Timer]bool
	outbox      map[id.Partition]map[uint64]string
}

func newLive() *live {
	return &live{activations: map[id.Invocation]uint64{}, timers: map[partition.Timer]bool{}, outbox: map[id.Partition]map[uint64]string{}}
}

func (l *live) act(t *rapid.T, effects []partition.Effect) {
	for _, e := range effects {
		switch e.Kind {
		case partition.EffectStart:
			if running, ok := l.activations[e.ID]; ok && running != uint64(e.Activation) {
				t.Fatalf("%s starts activation %d while %d runs", e.ID, e.Activation, running)
			}
			l.activations[e.ID] = uint64(e.Activation)
		case partition.EffectStop:
			if l.activations[e.ID] != uint64(e.Activation) {
				t.Fatalf("%s stops activation %d while %d runs", e.ID, e.Activation, l.activations[e.ID])
			}
			delete(l.activations, e.ID)
		case partition.EffectTimer:
			l.timers[e.Timer] = true
		case partition.EffectOutbox:
			if l.outbox[e.Target] == nil {
				l.outbox[e.Target] = map[uint64]string{}
			}
			l.outbox[e.Target][e.Seq] = string(e.Record)
		}
	}
}

func pending(t *rapid.T, st *partitiontest.State) *live {
	l := newLive()
	p := st.Pending()
	for done := false; !done; {
		var effects []partition.Effect
		var err error
		if effects, done, err = p.Next(3, nil); err != nil {
			t.Fatal(err)
		}
		l.act(t, effects)
	}
	return l
}

// Never: an invocation that nothing will run, a lock held twice, a journal with a hole, effects that
// rows would not bring back. Always: a replay, with or without a restart on the way, gives the same rows
// and effects.
func TestRandomLogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := partitiontest.New()
		random := partitiontest.NewRandom(st, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") })
		acting := newLive()
		var log [][]byte
		var restarted *partitiontest.State
		for range rapid.IntRange(1, 120).Draw(t, "records") {
			raw := random.Next()
			log = append(log, raw)
			effects := applyRaw(t, st, raw, nil)
			acting.act(t, effects)
			if err := st.Check(); err != nil {
				t.Fatalf("after record %d: %v\n%s", len(log), err, st.Dump())
			}
			if got := st.Invoked(); !maps.Equal(got, acting.activations) {
				t.Fatalf("after record %d: rows say %v run, effects said %v", len(log), got, acting.activations)
			}
			if restarted != nil {
				applyRaw(t, restarted, raw, nil)
			} else if rapid.IntRange(0, 20).Draw(t, "restart") == 0 {
				restarted = st.Clone()
			}
		}
		comparePending(t, pending(t, st), acting)
		again := partitiontest.New()
		for _, raw := range log {
			applyRaw(t, again, raw, nil)
		}
		if got, want := again.Dump(), st.Dump(); got != want {
			t.Fatalf("a replay gives\n%s\nnot\n%s", got, want)
		}
		if restarted != nil && restarted.Dump() != st.Dump() {
			t.Fatalf("snapshot and tail give\n%s\nnot\n%s", restarted.Dump(), st.Dump())
		}
	})
}

// comparePending compares what rows bring back with what effects said: nothing may be missing. Timers
// that fired and messages that were truncated may be remembered by effects alone.
func comparePending(t *rapid.T, rows, effects *live) {
	if !maps.Equal(rows.activations, effects.activations) {
		t.Fatalf("rows bring back %v, running are %v", rows.activations, effects.activations)
	}
	for timer := range rows.timers {
		if !effects.timers[timer] {
			t.Fatalf("no effect told of timer %v", timer)
		}
	}
	for target, messages := range rows.outbox {
		for seq, rec := range messages {
			if effects.outbox[target][seq] != rec {
				t.Fatalf("no effect told of message %d for partition %d", seq, target)
			}
		}
	}
}

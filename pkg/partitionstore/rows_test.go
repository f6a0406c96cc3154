package partitionstore_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/journal"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/partitionstore"
)

// log builds a short log by hand.
type log struct {
	t   *testing.T
	s   *partitionstore.Store
	seq uint64
}

func (l *log) do(h command.Header, facts command.Facts, frames ...[]byte) []partition.Effect {
	l.t.Helper()
	raw, err := command.Append(nil, h, facts, frames...)
	if err != nil {
		l.t.Fatal(err)
	}
	command.Stamp(raw, 0, lsn.LSN(l.s.Meta().Applied+1), 1, l.seq, 1000)
	l.seq++
	effects := apply(l.t, l.s, raw)
	commit(l.t, l.s)
	return effects
}

func newLog(t *testing.T, s *partitionstore.Store) *log {
	l := &log{t: t, s: s}
	l.do(command.Header{Kind: command.Announce}, &storedv1.Announcement{KeyTo: ^uint64(0), Partitions: 1})
	return l
}

func (l *log) invoke(n int, target *storedv1.Target) id.Invocation {
	l.do(command.Header{Kind: command.Invoke, ID: partitiontest.ID(n)},
		&storedv1.InvokeFacts{Target: target, JournalRetentionMs: 1, CompletionRetentionMs: 1}, partitiontest.Input("in"))
	return partitiontest.ID(n)
}

func (l *log) step(i id.Invocation, frames ...[]byte) {
	inv, err := l.s.Invocation(i)
	if err != nil || inv == nil {
		l.t.Fatalf("invocation %s: %v, %v", i, inv, err)
	}
	l.do(command.Header{
		Kind: command.Step, ID: i, Incarnation: lsn.LSN(inv.Row.Incarnation), Activation: lsn.LSN(inv.Row.Activation), Attempt: 1,
	}, &storedv1.StepFacts{Pin: &storedv1.Pin{Deployment: make([]byte, 16), ProtocolVersion: 6}}, frames...)
}

func (l *log) event(i id.Invocation, message string) {
	inv, err := l.s.Invocation(i)
	if err != nil || inv == nil {
		l.t.Fatalf("invocation %s: %v, %v", i, inv, err)
	}
	l.do(command.Header{
		Kind: command.Event, ID: i, Incarnation: lsn.LSN(inv.Row.Incarnation), Activation: lsn.LSN(inv.Row.Activation), Attempt: 1,
	}, &storedv1.EventFacts{Failure: &storedv1.AttemptFailure{Message: message}})
}

var counter = &storedv1.Target{
	Service: "Counter", Handler: "add", Key: "k",
	ServiceType: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, HandlerType: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE,
}

func TestReadInline(t *testing.T) {
	s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	l := newLog(t, s)
	i := l.invoke(1, counter)
	input := partitiontest.Input("in")
	steps := [][]byte{partitiontest.SetState("a", "12"), partitiontest.SetState("b", "34"), partitiontest.SetState("c", "")}
	for _, test := range []struct {
		name           string
		before         [][]byte
		journal, state int
		ok, partial    bool
		names          string
	}{
		{"fresh", nil, 1000, 1000, true, false, ""},
		{"lazy", nil, 1000, 0, true, true, ""},
		{"state fits exactly", steps, 1000, 7, true, false, "abc"},
		{"one byte less", nil, 1000, 6, true, true, "ab"},
		{"the first does not fit", nil, 1000, 2, true, true, ""},
		{"journal too long", nil, 20, 1000, false, false, ""},
	} {
		if test.before != nil {
			l.step(i, test.before...)
		}
		inv, err := s.Invocation(i)
		if err != nil {
			t.Fatal(err)
		}
		frames, state, partial, ok, err := s.ReadInline(inv, test.journal, test.state)
		if err != nil {
			t.Fatal(err)
		}
		names := ""
		for _, e := range state {
			names += string(e.Key)
		}
		if ok != test.ok || partial != test.partial || names != test.names {
			t.Errorf("%s: ok=%t partial=%t names=%q", test.name, ok, partial, names)
		}
		want := string(input)
		if inv.Journal.Entries > 1 {
			for _, f := range steps {
				want += string(f)
			}
		}
		if ok && string(frames) != want {
			t.Errorf("%s: frames are %x, not %x", test.name, frames, want)
		}
	}
}

func TestReader(t *testing.T) {
	s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	l := newLog(t, s)
	i := l.invoke(1, counter)
	l.step(i, partitiontest.Run(1), partitiontest.RunDone(1, "x"))
	l.step(i, partitiontest.SetState("a", "1"))
	inv, err := s.Invocation(i)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Reader(inv)
	if err != nil {
		t.Fatal(err)
	}
	l.step(i, partitiontest.SetState("b", "2"), partitiontest.Output("o"), partitiontest.End()) // after the reader was made
	state, partial, err := r.State(100)
	if err != nil || partial || len(state) != 1 {
		t.Errorf("state is %v, partial=%t, %v", state, partial, err)
	}
	var rows []string
	for {
		frames, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(frames))
	}
	want := []string{
		string(partitiontest.Input("in")), string(partitiontest.Run(1)) + string(partitiontest.RunDone(1, "x")), string(partitiontest.SetState("a", "1")),
	}
	if strings.Join(rows, "|") != strings.Join(want, "|") {
		t.Errorf("rows are %x, not %x", rows, want)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("a closed reader says %v", err)
	}
}

func TestSnapshotRows(t *testing.T) {
	s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	l := newLog(t, s)
	first, second := l.invoke(1, counter), l.invoke(2, counter)
	done := l.invoke(3, &storedv1.Target{Service: "S"})
	l.step(first, partitiontest.SetState("n", "1"), partitiontest.Sleep(1, 9000), partitiontest.Sleep(2, 5000))
	l.step(done, partitiontest.Output("o"), partitiontest.End())
	snap := snapshot(t, s)
	defer func() { _ = snap.Close() }()
	l.step(first, partitiontest.Output("o"), partitiontest.End()) // the snapshot does not see it

	active := snap.Active()
	for _, want := range []id.Invocation{second, first} { // the second waits for the lock: it has an index row
		if inv, err := active.Next(); err != nil || inv.ID != want {
			t.Errorf("active is %v, %v, not %s", inv, err, want)
		}
	}
	if _, err := active.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last active row: %v", err)
	}
	timers := snap.Timers(5001)
	if timer, err := timers.Next(); err != nil || timer.Due != 9000 || timer.Index != 1 {
		t.Errorf("timer is %v, %v", timer, err)
	}
	if inv, err := snap.Invocation(done); err != nil || string(inv.Row.Result.GetValue()) != "o" || inv.Row.JournalEntries != 2 {
		t.Errorf("completed row is %v, %v", inv, err)
	}
	inv, err := snap.Invocation(first)
	if err != nil {
		t.Fatal(err)
	}
	rows := snap.Journal(inv, 1)
	if row, err := rows.Next(); err != nil || row.First != 1 || row.Entries != 3 {
		t.Errorf("journal row is %v, %v", row, err)
	}
	state := snap.UserState("Counter", "k")
	if e, err := state.Next(); err != nil || string(e.Key) != "n" || string(e.Value) != "1" {
		t.Errorf("state is %v, %v", e, err)
	}
	for _, c := range []io.Closer{active, timers, rows, state} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOutboxSurvivesReopen(t *testing.T) {
	fs, shared := vfs.NewMem(), newShared(t)
	s := open(t, smallConfig(), fs, shared)
	v := s.View()
	for seq := uint64(1); seq <= 3; seq++ {
		if err := v.PutOutbox(7, seq, []byte{byte(seq)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.PutOutbox(7, 9, nil); !errs.Is(err, errs.Internal) {
		t.Errorf("a gap in the outbox gives %v", err)
	}
	if err := v.TruncateOutbox(7, 2); err != nil {
		t.Fatal(err)
	}
	if err := v.SetSourceSeq(5, 11); err != nil {
		t.Fatal(err)
	}
	commit(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, smallConfig(), fs, shared)
	defer func() { _ = s.Close() }()
	if targets := s.OutboxTargets(); len(targets) != 1 || targets[0] != 7 {
		t.Errorf("targets are %v", targets)
	}
	if seq, err := s.SourceSeq(5); err != nil || seq != 11 {
		t.Errorf("source sequence is %d, %v", seq, err)
	}
	snap := snapshot(t, s)
	defer func() { _ = snap.Close() }()
	rows := snap.Outbox(7, 1)
	defer func() { _ = rows.Close() }()
	if seq, rec, err := rows.Next(); err != nil || seq != 3 || string(rec) != "\x03" {
		t.Errorf("row is %d %x, %v", seq, rec, err)
	}
	if _, _, err := rows.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last row: %v", err)
	}
	v = s.View()
	if err := v.TruncateOutbox(7, 100); err != nil {
		t.Fatal(err)
	}
	if empty, err := v.OutboxEmpty(7); err != nil || !empty {
		t.Errorf("the outbox is not empty after a truncation, %v", err)
	}
	if seq, err := v.OutboxSeq(7); err != nil || seq != 3 {
		t.Errorf("the newest sequence is %d, %v", seq, err)
	}
	commit(t, s)
}

// An invocation that lives for long gets an index row, once, and is found after a restart at any time.
func TestIndexOfActive(t *testing.T) {
	fs, shared := vfs.NewMem(), newShared(t)
	s := open(t, smallConfig(), fs, shared)
	l := newLog(t, s)
	long := l.invoke(1, counter)
	brief := l.invoke(2, &storedv1.Target{Service: "S"})
	l.step(brief, partitiontest.Output("o"), partitiontest.End())
	for n := range 2 * 1024 {
		if n%300 == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, smallConfig(), fs, shared)
			l.s = s
		}
		l.do(command.Header{Kind: command.Read, ID: brief}, nil)
		rows, err := s.IndexRows()
		if err != nil {
			t.Fatal(err)
		}
		if want := s.Meta().Applied > 1024+1; (rows == 1) != want || rows > 1 {
			t.Fatalf("at %d there are %d index rows", s.Meta().Applied, rows)
		}
		snap := snapshot(t, s)
		active := snap.Active()
		if inv, err := active.Next(); err != nil || inv.ID != long {
			t.Fatalf("at %d the first active is %v, %v", s.Meta().Applied, inv, err)
		}
		if _, err := active.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("at %d there is a second one: %v", s.Meta().Applied, err)
		}
		if err := errors.Join(active.Close(), snap.Close()); err != nil {
			t.Fatal(err)
		}
	}
	l.step(long, partitiontest.Output("o"), partitiontest.End())
	if rows, err := s.IndexRows(); err != nil || rows != 0 {
		t.Errorf("%d index rows are left, %v", rows, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Range deletions take over from point deletions; both must leave nothing.
func TestDropLongJournal(t *testing.T) {
	for _, steps := range []int{3, 100} {
		s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
		l := newLog(t, s)
		i := l.invoke(1, counter)
		for n := range steps {
			l.step(i, partitiontest.Run(uint32(n+1)), partitiontest.RunDone(uint32(n+1), "x"))
		}
		inv, err := s.Invocation(i)
		if err != nil {
			t.Fatal(err)
		}
		v := s.View()
		if err := v.DropJournal(inv); err != nil {
			t.Fatal(err)
		}
		commit(t, s)
		err = v.JournalRows(inv, func(r journal.Row) error {
			t.Errorf("%d steps: row %d is still there", steps, r.First)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Promises are seen by the view that put them, outlive a restart, and go with their key; so do those who wait.
func TestPromises(t *testing.T) {
	fs := vfs.NewMem()
	shared := newShared(t)
	s := open(t, smallConfig(), fs, shared)
	view := s.View()
	done := &storedv1.Promise{Result: &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte("v")}}}
	open2 := &storedv1.Promise{Waiting: 2, Next: 3}
	named := func(key, name string) partition.Promise { return partition.Promise{Service: "W", Key: key, Name: name} }
	put := func(p partition.Promise, row *storedv1.Promise, waiting ...uint64) {
		t.Helper()
		if err := view.SetPromise(p, row); err != nil {
			t.Fatal(err)
		}
		for _, n := range waiting {
			if err := view.PutWaiter(p, n, &storedv1.Sink{Incarnation: n}); err != nil {
				t.Fatal(err)
			}
		}
	}
	waiters := func(p partition.Promise) (all []uint64) {
		t.Helper()
		err := view.Waiters(p, func(n uint64, s *storedv1.Sink) error {
			if s.Incarnation != n {
				t.Errorf("%v: %d has %v", p, n, s)
			}
			all = append(all, n)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	put(named("k", "b"), done)
	put(named("k", "a"), open2, 0, 1, 2)
	put(named("k", "ab"), open2, 7)
	put(named("kk", "a"), done)
	many := make([]uint64, 100) // more than are deleted one by one
	for n := range many {
		many[n] = uint64(n)
		put(named("many", fmt.Sprint(n)), done)
	}
	put(named("kk", "many"), open2, many...)
	if err := view.DeleteWaiter(named("k", "a"), 1); err != nil {
		t.Fatal(err)
	}
	if got := waiters(named("k", "a")); !slices.Equal(got, []uint64{0, 2}) {
		t.Fatalf("before the commit %v wait", got)
	}
	if row, err := view.Promise(named("k", "c")); err != nil || row != nil {
		t.Fatalf("one that nobody asked for is %v, %v", row, err)
	}
	commit(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, smallConfig(), fs, shared)
	defer func() { _ = s.Close() }()
	view = s.View()
	if row, err := view.Promise(named("k", "b")); err != nil || !proto.Equal(row, done) {
		t.Fatalf("after a restart it is %v, %v", row, err)
	}
	for _, name := range []string{"a", "many"} {
		if err := view.DropWaiters(named("kk", name)); err != nil {
			t.Fatal(err)
		}
		if row, err := view.Promise(named("kk", name)); err != nil || row == nil || len(waiters(named("kk", name))) > 0 {
			t.Fatalf("a promise without those who waited is %v, %v", row, err)
		}
	}
	for _, key := range []string{"k", "many"} {
		if err := view.ClearPromises("W", key); err != nil {
			t.Fatal(err)
		}
	}
	if row, err := view.Promise(named("k", "b")); err != nil || row != nil || len(waiters(named("k", "a"))) > 0 {
		t.Fatalf("what was cleared is %v, %v", row, err)
	}
	put(named("k", "new"), open2, 1, 2)
	commit(t, s)
	snap := snapshot(t, s)
	defer func() { _ = snap.Close() }()
	rows := snap.Promises(partitionstore.Object{})
	defer func() { _ = rows.Close() }()
	var got []string
	for {
		p, row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(p, " ", row.Result != nil))
	}
	if want := "{W k new} false, {W kk a} true, {W kk many} false"; strings.Join(got, ", ") != want {
		t.Fatalf("%s, not %s", strings.Join(got, ", "), want)
	}
}

// A walk over what completed tells of all that did, whatever journals lie between, and of nothing else.
func TestCompletedRows(t *testing.T) {
	s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	l := newLog(t, s)
	var want []id.Invocation
	for n := range 6 {
		i := l.invoke(n, &storedv1.Target{Service: "S", ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE})
		for range n {
			l.step(i, partitiontest.Run(uint32(n)))
		}
		if n%2 == 0 {
			l.step(i, partitiontest.Output("o"), partitiontest.End())
			want = append(want, i)
		}
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	rows := snap.Completed()
	defer func() { _ = rows.Close() }()
	for _, i := range want {
		if inv, err := rows.Next(); err != nil || inv.ID != i {
			t.Fatalf("next is %v, %v, not %s", inv, err, i)
		}
	}
	if inv, err := rows.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("one more: %v, %v", inv, err)
	}
}

func TestEventRows(t *testing.T) {
	s := open(t, smallConfig(), vfs.NewMem(), newShared(t))
	defer func() { _ = s.Close() }()
	l := newLog(t, s)
	i, other := l.invoke(1, counter), l.invoke(2, &storedv1.Target{Service: "S", ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE})
	for _, message := range []string{"a", "b"} {
		l.event(i, message)
		l.event(other, "x")
	}
	inv, err := s.Invocation(i)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	rows := snap.Events(inv)
	defer func() { _ = rows.Close() }()
	for n, message := range []string{"a", "b"} {
		number, e, err := rows.Next()
		if err != nil || int(number) != n || e.Failure.GetMessage() != message || e.AppendedAtMs != 1000 {
			t.Fatalf("event %d is %d: %v, %v", n, number, e, err)
		}
	}
	if _, e, err := rows.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("one more: %v, %v", e, err)
	}
}

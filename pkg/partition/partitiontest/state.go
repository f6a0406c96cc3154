package partitiontest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/partition"
	"reprise/pkg/queue"
)

var _ partition.State = (*State)(nil)

type object struct{ service, key string }

type life struct {
	id          id.Invocation
	incarnation uint64
}

type changeAt struct {
	object
	position uint64
}

// State keeps rows in maps. It has no batches: what is put is there.
type State struct {
	meta     *storedv1.Meta
	rows     map[id.Invocation]*invocation.Invocation
	journals map[life][]journal.Row
	user     map[object]map[string][]byte
	promises map[partition.Promise]*storedv1.Promise
	waiters  map[partition.Promise]map[uint64]*storedv1.Sink
	locks    map[object]queue.Lock
	queues   map[object][]queue.Entry
	changes  map[changeAt][]byte
	events   map[life]map[uint32][]byte
	timers   map[partition.Timer]struct{}
	seqs     map[id.Partition]uint64
	outbox   map[id.Partition]map[uint64][]byte
	sources  map[id.Partition]uint64
}

// New returns an empty State.
func New() *State {
	return &State{
		meta: &storedv1.Meta{}, rows: map[id.Invocation]*invocation.Invocation{}, journals: map[life][]journal.Row{},
		user: map[object]map[string][]byte{}, promises: map[partition.Promise]*storedv1.Promise{}, waiters: map[partition.Promise]map[uint64]*storedv1.Sink{}, locks: map[object]queue.Lock{}, queues: map[object][]queue.Entry{}, changes: map[changeAt][]byte{}, events: map[life]map[uint32][]byte{},
		timers: map[partition.Timer]struct{}{}, seqs: map[id.Partition]uint64{}, outbox: map[id.Partition]map[uint64][]byte{},
		sources: map[id.Partition]uint64{},
	}
}

// Clone returns a copy with nothing decoded: what a restart from these rows would find.
func (s *State) Clone() *State {
	c := New()
	c.meta = proto.Clone(s.meta).(*storedv1.Meta)
	for i, inv := range s.rows {
		row, err := inv.Row.MarshalVT()
		if err != nil {
			panic(err)
		}
		fresh := &invocation.Invocation{ID: i}
		if err := fresh.Row.UnmarshalVT(row); err != nil {
			panic(err)
		}
		c.rows[i] = fresh
	}
	for l, rows := range s.journals {
		c.journals[l] = slices.Clone(rows)
	}
	for o, names := range s.user {
		c.user[o] = maps.Clone(names)
	}
	for p, waiting := range s.waiters {
		c.waiters[p] = maps.Clone(waiting)
	}
	c.promises = maps.Clone(s.promises)
	for o, q := range s.queues {
		c.queues[o] = slices.Clone(q)
	}
	for p, rows := range s.outbox {
		c.outbox[p] = maps.Clone(rows)
	}
	for l, events := range s.events {
		c.events[l] = maps.Clone(events)
	}
	c.changes = maps.Clone(s.changes)
	c.locks, c.timers = maps.Clone(s.locks), maps.Clone(s.timers)
	c.seqs, c.sources = maps.Clone(s.seqs), maps.Clone(s.sources)
	return c
}

func lifeOf(inv *invocation.Invocation) life { return life{inv.ID, inv.Row.Incarnation} }

// Meta implements partition.State, as do all below.
func (s *State) Meta() *storedv1.Meta { return s.meta }

func (s *State) Invocation(i id.Invocation) (*invocation.Invocation, error) { return s.rows[i], nil }

func (s *State) PutInvocation(inv *invocation.Invocation) error {
	s.rows[inv.ID] = inv
	return nil
}

func (s *State) DeleteInvocation(inv *invocation.Invocation) error {
	delete(s.rows, inv.ID)
	return nil
}

func (s *State) Journal(inv *invocation.Invocation) (*journal.Index, error) {
	if inv.Journal != nil {
		return inv.Journal, nil
	}
	index := &journal.Index{}
	for _, row := range s.journals[lifeOf(inv)] {
		if err := index.Add(row); err != nil {
			return nil, err
		}
	}
	inv.Journal = index
	return index, nil
}

func (s *State) AppendJournal(inv *invocation.Invocation, row journal.Row) error {
	if err := inv.Journal.Add(row); err != nil {
		return err
	}
	row.Frames = bytes.Clone(row.Frames)
	s.journals[lifeOf(inv)] = append(s.journals[lifeOf(inv)], row)
	return nil
}

func (s *State) JournalRows(inv *invocation.Invocation, f func(journal.Row) error) error {
	for _, row := range s.journals[lifeOf(inv)] {
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) DropJournal(inv *invocation.Invocation) error {
	delete(s.journals, lifeOf(inv))
	return nil
}

func (s *State) UserState(service, key string, name []byte) ([]byte, bool, error) {
	v, ok := s.user[object{service, key}][string(name)]
	return bytes.Clone(v), ok, nil
}

func (s *State) UserStateNames(service, key string) (names [][]byte, err error) {
	for _, n := range slices.Sorted(maps.Keys(s.user[object{service, key}])) {
		names = append(names, []byte(n))
	}
	return names, nil
}

func (s *State) SetUserState(service, key string, name, value []byte) error {
	o := object{service, key}
	if s.user[o] == nil {
		s.user[o] = map[string][]byte{}
	}
	s.user[o][string(name)] = append([]byte{}, value...)
	return nil
}

func (s *State) ClearUserState(service, key string, name []byte) error {
	delete(s.user[object{service, key}], string(name))
	return nil
}

func (s *State) ClearAllUserState(service, key string) error {
	delete(s.user, object{service, key})
	return nil
}

func (s *State) Promise(p partition.Promise) (*storedv1.Promise, error) {
	if s.promises[p] == nil {
		return nil, nil
	}
	return proto.Clone(s.promises[p]).(*storedv1.Promise), nil
}

func (s *State) SetPromise(p partition.Promise, row *storedv1.Promise) error {
	s.promises[p] = proto.Clone(row).(*storedv1.Promise)
	return nil
}

func (s *State) PutWaiter(p partition.Promise, number uint64, sink *storedv1.Sink) error {
	if s.waiters[p] == nil {
		s.waiters[p] = map[uint64]*storedv1.Sink{}
	}
	s.waiters[p][number] = sink
	return nil
}

func (s *State) DeleteWaiter(p partition.Promise, number uint64) error {
	delete(s.waiters[p], number)
	return nil
}

func (s *State) Waiters(p partition.Promise, f func(number uint64, s *storedv1.Sink) error) error {
	for _, number := range slices.Sorted(maps.Keys(s.waiters[p])) {
		if err := f(number, s.waiters[p][number]); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) DropWaiters(p partition.Promise) error {
	delete(s.waiters, p)
	return nil
}

func (s *State) ClearPromises(service, key string) error {
	of := func(p partition.Promise) bool { return p.Service == service && p.Key == key }
	maps.DeleteFunc(s.promises, func(p partition.Promise, _ *storedv1.Promise) bool { return of(p) })
	maps.DeleteFunc(s.waiters, func(p partition.Promise, _ map[uint64]*storedv1.Sink) bool { return of(p) })
	return nil
}

func (s *State) Lock(service, key string) (queue.Lock, bool, error) {
	l, ok := s.locks[object{service, key}]
	return l, ok, nil
}

func (s *State) SetLock(service, key string, l queue.Lock) error {
	s.locks[object{service, key}] = l
	return nil
}

func (s *State) ClearLock(service, key string) error {
	delete(s.locks, object{service, key})
	return nil
}

func (s *State) Enqueue(service, key string, e queue.Entry) error {
	o := object{service, key}
	s.queues[o] = append(s.queues[o], e)
	slices.SortFunc(s.queues[o], func(a, b queue.Entry) int { return cmp.Compare(a.Position, b.Position) })
	return nil
}

func (s *State) FirstQueued(service, key string, from uint64) (e queue.Entry, found bool, err error) {
	for _, e := range s.queues[object{service, key}] {
		if e.Position >= from {
			return e, true, nil
		}
	}
	return e, false, nil
}

func (s *State) PutChange(service, key string, position uint64, c *storedv1.PatchStateFacts) (err error) {
	s.changes[changeAt{object{service, key}, position}], err = c.MarshalVT()
	return err
}

func (s *State) Change(service, key string, position uint64) (*storedv1.PatchStateFacts, error) {
	b, ok := s.changes[changeAt{object{service, key}, position}]
	if !ok {
		return nil, nil
	}
	c := &storedv1.PatchStateFacts{}
	return c, c.UnmarshalVT(b)
}

func (s *State) DeleteChange(service, key string, position uint64) error {
	delete(s.changes, changeAt{object{service, key}, position})
	return nil
}

func (s *State) CountChanges(service, key string, max int) (n int, err error) {
	for at := range s.changes {
		if at.object == (object{service, key}) {
			n++
		}
	}
	return min(n, max), nil
}

func (s *State) PutEvent(inv *invocation.Invocation, number uint32, e *storedv1.JournalEvent) (err error) {
	l := lifeOf(inv)
	if s.events[l] == nil {
		s.events[l] = map[uint32][]byte{}
	}
	s.events[l][number], err = e.MarshalVT()
	return err
}

func (s *State) Event(inv *invocation.Invocation, number uint32) (*storedv1.JournalEvent, error) {
	b, ok := s.events[lifeOf(inv)][number]
	if !ok {
		return nil, nil
	}
	e := &storedv1.JournalEvent{}
	return e, e.UnmarshalVT(b)
}

func (s *State) DeleteEvent(inv *invocation.Invocation, number uint32) error {
	delete(s.events[lifeOf(inv)], number)
	return nil
}

func (s *State) Dequeue(service, key string, position uint64) error {
	o := object{service, key}
	s.queues[o] = slices.DeleteFunc(s.queues[o], func(e queue.Entry) bool { return e.Position == position })
	return nil
}

func (s *State) PutTimer(t partition.Timer) error {
	s.timers[t] = struct{}{}
	return nil
}

func (s *State) DeleteTimer(t partition.Timer) error {
	delete(s.timers, t)
	return nil
}

func (s *State) HasTimer(t partition.Timer) (bool, error) {
	_, ok := s.timers[t]
	return ok, nil
}

func (s *State) OutboxSeq(target id.Partition) (uint64, error) { return s.seqs[target], nil }

func (s *State) OutboxEmpty(target id.Partition) (bool, error) {
	return len(s.outbox[target]) == 0, nil
}

func (s *State) PutOutbox(target id.Partition, seq uint64, record []byte) error {
	if seq != s.seqs[target]+1 {
		return fmt.Errorf("outbox row %d follows %d", seq, s.seqs[target])
	}
	if s.outbox[target] == nil {
		s.outbox[target] = map[uint64][]byte{}
	}
	s.seqs[target] = seq
	s.outbox[target][seq] = bytes.Clone(record)
	return nil
}

func (s *State) TruncateOutbox(target id.Partition, through uint64) error {
	maps.DeleteFunc(s.outbox[target], func(seq uint64, _ []byte) bool { return seq <= through })
	return nil
}

func (s *State) SourceSeq(source id.Partition) (uint64, error) { return s.sources[source], nil }

func (s *State) SetSourceSeq(source id.Partition, seq uint64) error {
	s.sources[source] = seq
	return nil
}

// Pending walks the rows as a snapshot of a store would.
func (s *State) Pending() *partition.Pending {
	var active []*invocation.Invocation
	for _, inv := range s.Clone().rows {
		if inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED {
			active = append(active, inv)
		}
	}
	slices.SortFunc(active, func(a, b *invocation.Invocation) int {
		return cmp.Or(cmp.Compare(a.Row.Incarnation, b.Row.Incarnation), bytes.Compare(a.ID[:], b.ID[:]))
	})
	timers := slices.Collect(maps.Keys(s.timers))
	slices.SortFunc(timers, func(a, b partition.Timer) int { return cmp.Compare(timerLine(a), timerLine(b)) })
	type message struct {
		target id.Partition
		seq    uint64
	}
	var messages []message
	for _, target := range slices.Sorted(maps.Keys(s.outbox)) {
		for _, seq := range slices.Sorted(maps.Keys(s.outbox[target])) {
			messages = append(messages, message{target, seq})
		}
	}
	return &partition.Pending{
		Active: func() (*invocation.Invocation, error) { return pop(&active) },
		Timers: func() (partition.Timer, error) { return pop(&timers) },
		Outbox: func() (id.Partition, uint64, []byte, error) {
			m, err := pop(&messages)
			return m.target, m.seq, s.outbox[m.target][m.seq], err
		},
	}
}

func pop[T any](from *[]T) (v T, err error) {
	if len(*from) == 0 {
		return v, io.EOF
	}
	v = (*from)[0]
	*from = (*from)[1:]
	return v, nil
}

func timerLine(t partition.Timer) string {
	return fmt.Sprintf("timer %020d %s@%d kind=%d index=%d", t.Due, t.ID, t.Incarnation, t.Kind, t.Index)
}

// Dump prints all rows, one a line, sorted.
func (s *State) Dump() string {
	lines := []string{RowLine("meta", s.meta)}
	for i, inv := range s.rows {
		lines = append(lines, RowLine("invocation "+i.String(), &inv.Row))
		if inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED {
			lines = append(lines, fmt.Sprintf("active %s@%d", i, inv.Row.Incarnation))
		}
	}
	for l, rows := range s.journals {
		for _, r := range rows {
			lines = append(lines, JournalLine(l.id, l.incarnation, r))
		}
	}
	for o, l := range s.locks {
		lines = append(lines, fmt.Sprintf("lock %s/%q = %x%08x%016x", o.service, o.key, l.Holder[:], l.Waiting, l.From))
	}
	for o, q := range s.queues {
		for _, e := range q {
			lines = append(lines, fmt.Sprintf("queue %s/%q position=%d = %x", o.service, o.key, e.Position, e.ID[:]))
		}
	}
	for at, c := range s.changes {
		lines = append(lines, fmt.Sprintf("change %s/%q position=%d = %x", at.service, at.key, at.position, c))
	}
	for l, events := range s.events {
		for n, e := range events {
			lines = append(lines, fmt.Sprintf("event %s@%d/%d = %x", l.id, l.incarnation, n, e))
		}
	}
	for o, names := range s.user {
		for n, v := range names {
			lines = append(lines, fmt.Sprintf("state %s/%q %q = %x", o.service, o.key, n, v))
		}
	}
	for p, row := range s.promises {
		lines = append(lines, RowLine(fmt.Sprintf("promise %s/%q %q", p.Service, p.Key, p.Name), row))
	}
	for p, waiting := range s.waiters {
		for n, sink := range waiting {
			lines = append(lines, RowLine(fmt.Sprintf("waiter %s/%q %q %d", p.Service, p.Key, p.Name, n), sink))
		}
	}
	for t := range s.timers {
		lines = append(lines, fmt.Sprintf("timer %d %s@%d kind=%d index=%d", t.Due, t.ID, t.Incarnation, t.Kind, t.Index))
	}
	for p, rows := range s.outbox {
		for seq, rec := range rows {
			lines = append(lines, fmt.Sprintf("outbox %d/%d = %x", p, seq, rec))
		}
	}
	for p, seq := range s.seqs {
		lines = append(lines, fmt.Sprintf("outbox-seq %d = %016x", p, seq))
	}
	for p, seq := range s.sources {
		lines = append(lines, fmt.Sprintf("source %d = %016x", p, seq))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// RowLine prints a row that is a message.
func RowLine(key string, m proto.Message) string {
	text, err := prototext.MarshalOptions{}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return key + " = " + strings.ReplaceAll(string(text), "  ", " ") // its spaces vary on purpose
}

// JournalLine prints a journal row.
func JournalLine(i id.Invocation, incarnation uint64, r journal.Row) string {
	return fmt.Sprintf("journal %s@%d/%d = time=%d attempt=%d entries=%d %x", i, incarnation, r.First, r.Time, r.Attempt, r.Entries, r.Frames)
}

package partitiontest

import (
	"fmt"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/partition"
	"reprise/pkg/serviceproto"
)

// Check returns what is wrong with the rows: an invocation that nothing would ever run, a lock that two
// hold, a journal with a hole.
func (s *State) Check() error {
	for _, inv := range s.rows {
		if err := s.checkInvocation(inv); err != nil {
			return fmt.Errorf("%s: %w", inv.ID, err)
		}
	}
	if err := s.checkNoOrphans(); err != nil {
		return err
	}
	for o, lock := range s.locks {
		holder := lock.Holder
		if n := len(s.queues[o]); n != int(lock.Waiting) {
			return fmt.Errorf("the lock of %v says that %d wait, %d do", o, lock.Waiting, n)
		}
		if q := s.queues[o]; len(q) > 0 && q[0].Position < lock.From {
			return fmt.Errorf("entry %d waits for the lock of %v, where nobody should before %d", q[0].Position, o, lock.From)
		}
		inv := s.rows[holder]
		if inv == nil || !inv.Exclusive() || !inv.Started() || lockOf(inv) != o {
			return fmt.Errorf("lock of %v is held by %s, which does not run", o, holder)
		}
	}
	for p, row := range s.promises {
		if n := len(s.waiters[p]); uint64(n) != row.Waiting || n > 0 && row.Result != nil {
			return fmt.Errorf("promise %v says that %d wait, %d do", p, row.Waiting, n)
		}
	}
	for p, waiting := range s.waiters {
		if s.promises[p] == nil && len(waiting) > 0 {
			return fmt.Errorf("%d wait for the promise %v, which is not there", len(waiting), p)
		}
	}
	for o, q := range s.queues {
		if _, locked := s.locks[o]; len(q) > 0 && !locked {
			return fmt.Errorf("%d wait for the lock of %v, which is free", len(q), o)
		}
		for _, e := range q {
			if _, ok := s.changes[changeAt{o, e.Position}]; ok != e.IsChange() {
				return fmt.Errorf("entry %d of the queue of %v is a change: %t, and one is there: %t", e.Position, o, e.IsChange(), ok)
			}
			if e.IsChange() {
				continue
			}
			if inv := s.rows[e.ID]; inv == nil || inv.Row.QueuePosition != e.Position || lockOf(inv) != o {
				return fmt.Errorf("%s waits for %v without a row that says so", e.ID, o)
			}
		}
	}
	return nil
}

func lockOf(inv *invocation.Invocation) object {
	return object{inv.Row.Target.GetService(), inv.Row.Target.GetKey()}
}

func (s *State) checkInvocation(inv *invocation.Invocation) error {
	row := &inv.Row
	if inv.Exclusive() && inv.Started() && s.locks[lockOf(inv)].Holder != inv.ID {
		return fmt.Errorf("it runs without its lock")
	}
	next := uint32(0)
	for _, r := range s.journals[lifeOf(inv)] {
		if r.First != next {
			return fmt.Errorf("journal row at %d where %d comes next", r.First, next)
		}
		next += r.Entries
	}
	fresh := &invocation.Invocation{ID: inv.ID}
	fresh.Row.Incarnation = row.Incarnation
	index, err := s.Journal(fresh)
	if err != nil {
		return err
	}
	switch row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED:
		for t := range s.timers {
			if t.ID == inv.ID && t.Incarnation == row.Incarnation && t.Due == row.ExecuteAtMs {
				return nil
			}
		}
		return fmt.Errorf("it is scheduled without a timer")
	case storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:
		for _, e := range s.queues[lockOf(inv)] {
			if e.ID == inv.ID {
				return nil
			}
		}
		return fmt.Errorf("it waits in no queue")
	case storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED:
		await, err := serviceproto.StoredAwait(row.Awaiting)
		if err != nil {
			return err
		}
		if await.Satisfied(serviceproto.Once{Resolved: index}) {
			return fmt.Errorf("it is suspended although what it waits for is there")
		}
	case storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED:
		if index.Entries == 0 || row.Activation == 0 {
			return fmt.Errorf("it runs without input")
		}
	case storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED:
		if row.Result == nil || len(row.Sinks) > 0 {
			return fmt.Errorf("it completed without a result, or with callers not answered")
		}
		return s.checkKept(inv)
	}
	return nil
}

// checkKept looks after what is kept of an invocation that completed.
func (s *State) checkKept(inv *invocation.Invocation) error {
	row := &inv.Row
	kept := uint32(0)
	for _, r := range s.journals[lifeOf(inv)] {
		kept += r.Entries
	}
	if kept != row.JournalEntries {
		return fmt.Errorf("its row says %d entries of its journal are kept, %d are", row.JournalEntries, kept)
	}
	if !inv.Hidden() {
		return nil
	}
	for t := range s.timers {
		if t.ID == inv.ID && t.Incarnation == row.Incarnation && t.Kind == partition.TimerForget {
			return nil
		}
	}
	return fmt.Errorf("it is hidden, and nothing would ever forget it")
}

// checkNoOrphans finds rows that belong to a life that is not there.
func (s *State) checkNoOrphans() error {
	lives, going := map[life]bool{}, map[life]bool{}
	for _, inv := range s.rows {
		lives[lifeOf(inv)] = true
		going[lifeOf(inv)] = inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED
	}
	for l := range s.journals {
		if !lives[l] {
			return fmt.Errorf("the journal of %s@%d is left", l.id, l.incarnation)
		}
	}
	for l, events := range s.events {
		if !lives[l] && len(events) > 0 {
			return fmt.Errorf("events of %s@%d are left", l.id, l.incarnation)
		}
	}
	for t := range s.timers {
		if t.Kind == partition.TimerSleep && t.Due <= s.meta.TimeMs {
			continue // its time has come: it goes when it fires
		}
		l := life{t.ID, t.Incarnation}
		if !lives[l] || t.Kind == partition.TimerSleep && !going[l] {
			return fmt.Errorf("timer %d of %s@%d is left", t.Kind, t.ID, t.Incarnation)
		}
	}
	return nil
}

// Invoked returns the activations that rows say are running.
func (s *State) Invoked() map[id.Invocation]uint64 {
	all := map[id.Invocation]uint64{}
	for i, inv := range s.rows {
		if inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED {
			all[i] = inv.Row.Activation
		}
	}
	return all
}

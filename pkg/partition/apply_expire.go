package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
)

// applyExpire forgets what was kept long enough, of those that the leader found. It looks again: an operator may
// have been faster.
func (a *application) applyExpire() error {
	var c storedv1.ExpireFacts
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	for _, l := range c.Lives {
		i, err := invocationID(l.Id)
		if err != nil {
			return a.badFacts(err)
		}
		inv, err := a.st.Invocation(i)
		if err != nil {
			return err
		}
		if inv == nil || inv.Row.Incarnation != l.Incarnation {
			continue
		}
		if err := a.expire(inv); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) expire(inv *invocation.Invocation) error {
	switch Expired(inv, a.now) {
	case ExpiredAll:
		return a.forget(inv)
	case ExpiredJournal:
		if err := a.dropJournal(inv); err != nil {
			return err
		}
		return a.st.PutInvocation(inv)
	default:
		return nil
	}
}

// Expiry is what of an invocation was kept long enough.
type Expiry uint8

// The expiries.
const (
	ExpiredNothing Expiry = iota
	ExpiredJournal
	ExpiredAll
)

// Expired tells what of an invocation was kept long enough at a time in Unix milliseconds.
func Expired(inv *invocation.Invocation, now int64) Expiry {
	row := &inv.Row
	if !completed(inv) {
		return ExpiredNothing
	}
	keep := row.CompletionRetentionMs
	if fromOutside(row) {
		keep = max(keep, repeatMs)
	}
	switch age := now - row.CompletedAtMs; {
	case age >= keep:
		return ExpiredAll
	case row.JournalEntries > 0 && age >= row.JournalRetentionMs:
		return ExpiredJournal
	default:
		return ExpiredNothing
	}
}

// LifeOf names the life of an invocation in ExpireFacts.
func LifeOf(inv *invocation.Invocation) *storedv1.Life {
	return &storedv1.Life{Id: idBytes(inv.ID), Incarnation: inv.Row.Incarnation}
}

package invoker

import (
	"context"
	"errors"
	"fmt"

	"reprise/pkg/errs"
	"reprise/pkg/serviceproto"
)

// errOver ends a replay that nobody needs any more.
var errOver = errors.New("the attempt is over")

// replayLocked has another goroutine send state and journal row by row, as the endpoint takes them.
func (a *attempt) replayLocked(reader Reader, start serviceproto.Start, eager int) {
	a.refs.Add(1)
	ok := a.v.spawn("replay", func(context.Context) {
		defer a.unref()
		err := a.sendJournal(reader, &start, eager)
		if cerr := reader.Close(); err == nil {
			err = cerr
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		switch {
		case errors.Is(err, errOver):
		case err != nil:
			a.failLocked(ours(docInternal, "replay: %v", err))
		default:
			a.replayedLocked()
		}
		a.out.Flush()
	})
	if !ok {
		a.refs.Add(-1)
		_ = reader.Close() // nothing was read
		a.failLocked(ours(docInternal, "the server is stopping"))
	}
}

// sendJournal sends Start and then one row after the other. It holds one row at a time.
func (a *attempt) sendJournal(reader Reader, start *serviceproto.Start, eager int) error {
	state, partial, err := reader.State(eager)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	start.State, start.PartialState = state, start.PartialState || partial
	if partial && eager > 0 {
		a.v.metrics.truncated.Inc()
	}
	if _, err := a.push(serviceproto.AppendStart(nil, start), false); err != nil {
		return err
	}
	start.State = nil
	room := make(chan struct{}, 1)
	for sent := uint32(0); sent < start.KnownEntries; {
		if err := a.awaitRoom(room); err != nil {
			return err
		}
		frames, err := reader.Next()
		if err != nil {
			return fmt.Errorf("entry %d of %d: %w", sent, start.KnownEntries, err)
		}
		count, err := a.push(frames, true)
		if err != nil {
			return err
		}
		if sent += count; count == 0 || sent > start.KnownEntries {
			return errs.Newf(errs.Corrupt, "journal rows have %d entries, not %d", sent, start.KnownEntries)
		}
	}
	return nil
}

func (a *attempt) push(b []byte, journal bool) (count uint32, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deafLocked() || a.overLocked() {
		return 0, errOver
	}
	if journal {
		count = a.scanLocked(b)
	}
	if f := a.holdLocked(a.out.Pending() + len(b)); f != nil { // before it is copied
		a.failLocked(f)
		return 0, errOver
	}
	a.active.Store(a.v.now.Load())
	a.out.Write(b, false)
	a.v.metrics.via(a.route).sent.Add(float64(len(b)))
	a.out.Flush()
	return count, nil
}

// awaitRoom waits until the endpoint has taken most of what was sent. A function takes all or nothing.
func (a *attempt) awaitRoom(room chan struct{}) error {
	if a.route.function != nil {
		return nil
	}
	for a.out.Pending() > replayAheadBytes {
		a.out.NotifySpare(room)
		<-room
		a.mu.Lock()
		a.remeasureLocked()
		over := a.deafLocked() || a.overLocked()
		a.mu.Unlock()
		if over {
			return errOver
		}
	}
	return nil
}

// replayedLocked goes on with what was stored meanwhile.
func (a *attempt) replayedLocked() {
	a.replaying = false
	if !a.bodyClosed && !a.deafLocked() {
		a.bodyClosed = a.half
		a.out.Write(a.queue, a.half)
	}
	a.queue = keepSmall(a.queue)
	if !a.deafLocked() {
		a.heldLocked(a.out.Pending())
	}
}

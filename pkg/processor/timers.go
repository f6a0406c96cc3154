package processor

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
)

// timersFiredMax is how many due timers of a partition one turn proposes.
const timersFiredMax = 512

// timersWaitingMax is how many records of a partition may wait to be applied while its timers still fire.
const timersWaitingMax = 8192

// timers holds the timers of a partition that are due before horizon; later ones stay rows.
type timers struct {
	heap     timerHeap
	horizon  int64 // Unix milliseconds; rows due before it are in the heap, or being read into it
	scanning bool
}

func (t *timers) add(x partition.Timer) {
	if x.Due < t.horizon {
		heap.Push(&t.heap, x)
	}
}

// first returns when the earliest timer in memory is due.
func (t *timers) first() (int64, bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].Due, true
}

// crowded tells whether timers wait until more of what was proposed is applied.
func (t *tenure) crowded() bool {
	return len(t.inflight) > 0 && t.next-t.inflight[0].first > timersWaitingMax
}

// fireTimers proposes the timers that are due. A timer that is proposed twice has an effect once:
// Apply looks for its row.
func (l *Loop) fireTimers(now int64) bool {
	fired := false
	for _, p := range l.parts {
		t := p.tenure
		if t == nil || !t.leading || t.crowded() {
			continue
		}
		for range timersFiredMax {
			due, ok := t.timers.first()
			if !ok || due > now {
				break
			}
			x := heap.Pop(&t.timers.heap).(partition.Timer)
			set, err := p.store.View().HasTimer(x)
			if err != nil {
				l.park(p, fmt.Errorf("read a timer: %w", err))
				break
			}
			if !set { // its invocation has ended
				continue
			}
			rec, err := command.Append(nil, command.Header{Kind: command.Fire, ID: x.ID, Incarnation: lsn.LSN(x.Incarnation)},
				&storedv1.TimerFacts{DueMs: x.Due, Kind: uint32(x.Kind), Index: x.Index})
			if err == nil {
				err = l.mail.record(p, rec, nil)
			}
			if err != nil {
				break // deposed: the next leader reads the rows
			}
			fired = true
		}
	}
	return fired
}

// scanTimers reads the rows of the next stretch of time into memory, off the loop, once half of the
// present stretch is over.
func (l *Loop) scanTimers(p *part, now int64) {
	t := &p.tenure.timers
	ahead := l.node.cfg.TimerHorizon.Milliseconds()
	if t.scanning || t.horizon-now > ahead/2 {
		return
	}
	// The horizon is raised first: what is put from now on comes as an effect. A timer may then be
	// found twice, which is harmless.
	from, tenure := t.horizon, p.tenure
	t.horizon, t.scanning = now+ahead, true
	to := t.horizon
	snap, err := p.store.Snapshot()
	if err != nil {
		l.parkSoon(p, err)
		return
	}
	l.node.background("read timers", func(ctx context.Context) error {
		defer func() { _ = snap.Close() }() // nothing was written through it
		var page []partition.Timer
		post := func(last bool) {
			found := page
			page = nil
			l.mail.do(func() {
				if p.tenure != tenure {
					return
				}
				for _, x := range found {
					heap.Push(&t.heap, x)
				}
				t.scanning = t.scanning && !last
			})
		}
		it := snap.Timers(from)
		defer func() { _ = it.Close() }() // read only
		for ctx.Err() == nil {
			x, err := it.Next()
			if errors.Is(err, io.EOF) || err == nil && x.Due >= to {
				break
			}
			if err != nil {
				l.mail.do(func() { l.parkIf(p, tenure, fmt.Errorf("read timers: %w", err)) })
				return nil
			}
			if page = append(page, x); len(page) == pendingPage {
				post(false)
			}
		}
		post(true)
		return nil
	})
}

type timerHeap []partition.Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].Due < h[j].Due }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(partition.Timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

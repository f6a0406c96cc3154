package controller

import (
	"context"
	"log/slog"
	"slices"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

const (
	// callAgain is how long a call has until it is made again.
	callAgain = 500 * time.Millisecond
	// beginAlone is how long somebody has who begins to lead without being called.
	beginAlone = 1500 * time.Millisecond
	// strangers is how long after a start of this process nodes count as alive that were not heard of yet.
	strangers = 2 * time.Second
	// leadersTick is how often calls are looked at that had no effect.
	leadersTick = 100 * time.Millisecond
	// stuckAfter is how long a leader has work, or does not lead yet, and makes no progress until it is moved.
	stuckAfter = 2 * time.Second
	// restMin is how long a partition stays that was moved from a leader that lives, doubling up to restMax while it is
	// moved as soon as it may.
	restMin = time.Second
	restMax = 30 * time.Second
	// evenAfter is for how long nothing may have changed before leaders are evened out, or pinned ones called back.
	evenAfter = 20 * time.Second
	// evenPause lies between two calls for that.
	evenPause = 2 * time.Second
)

// Leaders replaces leaders that died or are leaving, and moves those that are to lead no more: it calls another holder of the
// partition.
type Leaders struct {
	self   id.Node
	view   View
	roster *Roster
	host   host.Host

	started  time.Time
	calls    map[id.Partition]called
	lives    map[id.Partition]living
	marks    marks
	looked   time.Time
	alive    []id.GenerationalNode // as seen last, without those that leave
	restless time.Time             // when something changed last
	evened   time.Time             // when leaders were evened out last
}

// called is what was done for a partition without a leader, and for which epoch.
type called struct {
	over     lsn.Epoch
	orphaned time.Time // since when its leader is not there
	node     id.Node   // that was called last
	at       time.Time // when it was; zero: never
}

// living is what is known of a partition whose leader lives.
type living struct {
	epoch   lsn.Epoch
	applied lsn.LSN
	since   time.Time     // since when it has not got on, though it has work or does not lead yet
	moved   time.Time     // when it was moved last; zero: never
	over    lsn.Epoch     // from which
	node    id.Node       // to whom
	rest    time.Duration // how long it stays then
}

var _ lifecycle.Part = (*Leaders)(nil)

// NewLeaders returns the part of a metadata daemon.
func NewLeaders(self id.Node, view View, roster *Roster, h host.Host) *Leaders {
	return &Leaders{self: self, view: view, roster: roster, host: h, calls: map[id.Partition]called{}, lives: map[id.Partition]living{}}
}

// Run looks at each change until ctx ends.
func (l *Leaders) Run(ctx context.Context) error {
	l.begin()
	timer := l.host.Clock.NewTimer(leadersTick)
	defer timer.Stop()
	for {
		seen, heard := l.view.Changed(), l.roster.Changed()
		l.look()
		timer.Reset(leadersTick)
		select {
		case <-ctx.Done():
			return nil
		case <-seen:
		case <-heard:
		case <-timer.C():
		}
	}
}

func (l *Leaders) begin() {
	l.started = l.host.Clock.Now()
	l.looked, l.restless, l.evened = l.started, l.started, l.started
}

func (l *Leaders) look() {
	s, now := l.view.Current(), l.host.Clock.Now()
	alive := l.roster.Alive()
	acting := acts(l.self, s, alive)
	for i := range alive {
		if n := s.Node(alive[i].ID.Node); n != nil {
			alive[i].Drained = n.WorkerState == storedv1.WorkerState_WORKER_STATE_DRAINING || n.WorkerState == storedv1.WorkerState_WORKER_STATE_DISABLED
		}
	}
	if now.Sub(l.started) < strangers {
		alive = l.withStrangers(s, alive)
	}
	all := holdings(s.Epochs, s.Directives)
	l.marks.set(all, alive, now)
	late := now.Sub(l.looked) - leadersTick
	l.looked = now
	for i := range all {
		all[i].Late = l.late(id.Partition(i), &all[i], alive, now)
		l.watch(id.Partition(i), &all[i], alive, now, late)
	}
	l.notice(all, alive, now)
	if !acting { // but should it be the next to act, it knows since when leaders are missing
		return
	}
	l.replace(all, alive, now)
	l.move(all, alive, now)
}

// replace calls for partitions whose leader does not live.
func (l *Leaders) replace(all []placement.Holding, alive []placement.Attendant, now time.Time) {
	for _, c := range placement.Leaders(all, alive) {
		made := l.calls[c.Partition]
		if now.Sub(made.at) < callAgain && lives(made.node, alive) || !l.call(c, "its leader does not live, or leaves") {
			continue
		}
		made.node, made.at = c.Node, now
		l.calls[c.Partition] = made
	}
}

// move calls for partitions whose leader lives.
func (l *Leaders) move(all []placement.Holding, alive []placement.Attendant, now time.Time) {
	budget := 0
	if now.Sub(l.restless) >= evenAfter && now.Sub(l.evened) >= evenPause {
		budget = 1
	}
	for _, c := range placement.Moves(all, alive, budget) {
		h, why := &all[c.Partition], "leaders are evened out"
		switch {
		case h.Stuck:
			why = "its leader does not get on"
		case slices.ContainsFunc(alive, func(a placement.Attendant) bool { return a.ID == h.Leader && a.Drained }):
			why = "its leader is drained"
		case !slices.Contains(h.Target(), h.Leader.Node):
			why = "its leader is to hold it no more"
		case h.Pin == c.Node:
			why = "an operator wants it"
		}
		if !l.call(c, why) {
			continue
		}
		x := l.lives[c.Partition]
		if x.moved.IsZero() || now.Sub(x.moved) > 2*restMax {
			x.rest = restMin
		} else {
			x.rest = min(2*x.rest, restMax)
		}
		x.moved, x.over, x.node = now, c.Over, c.Node
		l.lives[c.Partition] = x
		if budget > 0 {
			l.evened = now
		}
	}
}

func (l *Leaders) call(c placement.Call, why string) bool {
	if !l.roster.Call(c) {
		return false
	}
	l.host.Log.Info("called a worker to lead", slog.Int(logkey.Partition, int(c.Partition)), slog.String(logkey.Peer, c.Node.String()),
		slog.Uint64(logkey.Epoch, uint64(c.Over)+1), slog.String(logkey.Code, why))
	return true
}

// watch sees whether a leader that lives gets on. late is how late this look comes: nobody is blamed for that.
func (l *Leaders) watch(p id.Partition, h *placement.Holding, alive []placement.Attendant, now time.Time, late time.Duration) {
	x := l.lives[p]
	var s placement.Status
	rests := true // or dead
	for i := range alive {
		if alive[i].ID == h.Leader {
			s = alive[i].Status(p)
			rests = s.Role == placement.Leads && s.Epoch == h.Epoch && !s.Works
		}
	}
	if rests || h.Epoch != x.epoch || s.Applied != x.applied || x.since.IsZero() {
		x.epoch, x.applied, x.since = h.Epoch, s.Applied, now
	}
	if late > lateTick {
		x.since = x.since.Add(late)
		if x.since.After(now) {
			x.since = now
		}
	}
	if c := l.calls[p]; c.node != 0 && c.over == h.Epoch {
		h.Tried = c.node
	} else if x.over == h.Epoch {
		h.Tried = x.node
	}
	h.Stuck, h.Rests = now.Sub(x.since) > stuckAfter, !x.moved.IsZero() && now.Sub(x.moved) < x.rest
	l.lives[p] = x
}

// notice remembers when something changed: who is there, or a partition that has no leader.
func (l *Leaders) notice(all []placement.Holding, alive []placement.Attendant, now time.Time) {
	var there []id.GenerationalNode
	for i := range alive {
		if !alive[i].Leaving {
			there = append(there, alive[i].ID)
		}
	}
	leaderless := slices.ContainsFunc(all, func(h placement.Holding) bool { return !slices.Contains(there, h.Leader) })
	if !slices.Equal(there, l.alive) || leaderless {
		l.restless, l.alive = now, there
	}
}

// late tells whether whoever begins by itself has had its time.
func (l *Leaders) late(p id.Partition, h *placement.Holding, alive []placement.Attendant, now time.Time) bool {
	c := l.calls[p]
	if c.over != h.Epoch || c.orphaned.IsZero() {
		c = called{over: h.Epoch, orphaned: now}
	}
	if len(h.Current) == 0 || // nobody can begin yet
		slices.ContainsFunc(alive, func(a placement.Attendant) bool { return a.ID == h.Leader && slices.Contains(h.All(), a.ID.Node) }) {
		c.orphaned = now
	}
	l.calls[p] = c
	return now.Sub(c.orphaned) > beginAlone
}

func lives(n id.Node, alive []placement.Attendant) bool {
	return slices.ContainsFunc(alive, func(a placement.Attendant) bool { return a.ID.Node == n })
}

// withStrangers adds the leaders that were not heard of: they have not had time to connect.
func (l *Leaders) withStrangers(s *metastore.Snapshot, alive []placement.Attendant) []placement.Attendant {
	for _, n := range s.Nodes {
		if nid := id.Node(n.Id); !l.roster.Known(nid) && slices.Contains(n.Roles, metastore.RoleWorker) {
			alive = append(alive, placement.Attendant{ID: id.GenerationalNode{Node: nid, Generation: n.Generation}})
		}
	}
	return alive
}

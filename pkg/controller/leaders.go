package controller

import (
	"context"
	"log/slog"
	"slices"
	"time"

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
)

// Leaders replaces leaders that died or are leaving: it calls another holder of the partition. The metadata daemon with the
// lowest id of those that live does so, in its own view: two may, and the log decides.
type Leaders struct {
	self   id.Node
	view   View
	roster *Roster
	host   host.Host

	started time.Time
	calls   map[id.Partition]called
}

// called is what was done for a partition, and for which epoch.
type called struct {
	over     lsn.Epoch
	orphaned time.Time // since when its leader is not there
	node     id.Node   // that was called last
	at       time.Time // when it was; zero: never
}

var _ lifecycle.Part = (*Leaders)(nil)

// NewLeaders returns the part of a metadata daemon.
func NewLeaders(self id.Node, view View, roster *Roster, h host.Host) *Leaders {
	return &Leaders{self: self, view: view, roster: roster, host: h, calls: map[id.Partition]called{}}
}

// Run looks at each change until ctx ends.
func (l *Leaders) Run(ctx context.Context) error {
	l.started = l.host.Clock.Now()
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

func (l *Leaders) look() {
	s, now := l.view.Current(), l.host.Clock.Now()
	alive := l.roster.Alive()
	acting := l.acting(s, alive)
	if now.Sub(l.started) < strangers {
		alive = l.withStrangers(s, alive)
	}
	holdings := make([]placement.Holding, len(s.Epochs))
	for p, e := range s.Epochs {
		h := &holdings[p]
		h.Epoch, h.Leader = lsn.Epoch(e.GetEpoch()), id.GenerationalNode{Node: id.Node(e.GetNode()), Generation: e.GetGeneration()}
		for _, n := range e.GetReplicas() {
			h.Holders = append(h.Holders, id.Node(n))
		}
		h.Late = l.late(id.Partition(p), h, alive, now)
	}
	if !acting { // but should it be the next to act, it knows since when leaders are missing
		return
	}
	for _, c := range placement.Leaders(holdings, alive) {
		made := l.calls[c.Partition]
		if now.Sub(made.at) < callAgain && lives(made.node, alive) || !l.roster.Call(c) {
			continue
		}
		made.node, made.at = c.Node, now
		l.calls[c.Partition] = made
		l.host.Log.Info("called a worker to lead", slog.Int(logkey.Partition, int(c.Partition)), slog.String(logkey.Peer, c.Node.String()),
			slog.Uint64(logkey.Epoch, uint64(c.Over)+1))
	}
}

// late tells whether whoever begins by itself has had its time.
func (l *Leaders) late(p id.Partition, h *placement.Holding, alive []placement.Attendant, now time.Time) bool {
	c := l.calls[p]
	if c.over != h.Epoch || c.orphaned.IsZero() {
		c = called{over: h.Epoch, orphaned: now}
	}
	if len(h.Holders) == 0 || // nobody can begin yet
		slices.ContainsFunc(alive, func(a placement.Attendant) bool { return a.ID == h.Leader && slices.Contains(h.Holders, a.ID.Node) }) {
		c.orphaned = now
	}
	l.calls[p] = c
	return now.Sub(c.orphaned) > beginAlone
}

func lives(n id.Node, alive []placement.Attendant) bool {
	return slices.ContainsFunc(alive, func(a placement.Attendant) bool { return a.ID.Node == n })
}

// acting tells whether this process is the one that calls.
func (l *Leaders) acting(s *metastore.Snapshot, alive []placement.Attendant) bool {
	return !slices.ContainsFunc(alive, func(a placement.Attendant) bool {
		n := s.Node(a.ID.Node)
		return a.ID.Node < l.self && n != nil && slices.Contains(n.Roles, metastore.RoleMetadata) && !a.Leaving
	})
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

package ingress

import (
	"context"
	"net"
	"sync"
	"testing"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
)

// What tests of this package's face want to know.
const (
	EchoAllocations = echoAllocations
	RaceDetector    = raceDetector
)

// AwaitedHeads is how many connections are in the time that a client has for a head.
func (s *Server) AwaitedHeads() (n int) {
	s.plain.mu.Lock()
	defer s.plain.mu.Unlock()
	for c := range s.plain.conns {
		c.mu.Lock()
		if !c.since.IsZero() {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// PlainEcho returns a function that serves a connection until it ends.
func PlainEcho(t testing.TB, conn net.Conn) func() {
	core, _ := echoCore(t)
	f := newPlainFront(core, hosttest.New(hosttest.NewClock(), 1))
	ctx, leave := context.WithCancelCause(t.Context())
	t.Cleanup(func() { leave(nil) })
	c := newPlainConn(f, conn, leave)
	return func() {
		if c.serve(ctx) {
			t.Error("the request is not plain")
		}
	}
}

// FakeRoutes is one leader for all partitions, whom Move replaces.
type FakeRoutes struct {
	mu      sync.Mutex
	leader  id.GenerationalNode
	changed chan struct{}
}

// NewFakeRoutes returns routes to N1:1.
func NewFakeRoutes() *FakeRoutes {
	return &FakeRoutes{leader: id.GenerationalNode{Node: 1, Generation: 1}, changed: make(chan struct{})}
}

// Partitions implements Routes.
func (*FakeRoutes) Partitions() uint32 { return 24 }

// Leader implements Routes.
func (r *FakeRoutes) Leader(id.Partition) (id.GenerationalNode, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader, r.leader.Node != 0
}

// Changed implements Routes.
func (r *FakeRoutes) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Move has another one lead; nobody if its node is zero.
func (r *FakeRoutes) Move(leader id.GenerationalNode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leader = leader
	close(r.changed)
	r.changed = make(chan struct{})
}

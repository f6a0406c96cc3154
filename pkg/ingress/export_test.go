package ingress

import (
	"context"
	"net"
	"testing"

	"reprise/pkg/host/hosttest"
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

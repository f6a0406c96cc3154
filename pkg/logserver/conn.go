package logserver

import (
	"sync/atomic"

	"reprise/pkg/id"
	"reprise/pkg/logproto"
)

// Conn is a connection of one log writer. It is what logproto.Conn asks for.
type Conn struct {
	s    *Server
	from id.GenerationalNode
	r    logproto.Receiver
	over atomic.Bool // Broken was called, or Close
}

// Connect returns a connection for the log writer of the node from, which the caller has authenticated.
// It is an interface so that engines and rpc may ask for the method without knowing this package.
func (s *Server) Connect(from id.GenerationalNode, r logproto.Receiver) logproto.Conn {
	return &Conn{s: s, from: from, r: r}
}

// Send hands a frame over until it comes back.
func (c *Conn) Send(f *logproto.Frame) {
	if err := c.s.push(op{kind: opFrame, conn: c, frame: f}); err != nil {
		c.broken(err)
	}
}

// Release raises known global tails.
func (c *Conn) Release(gs []logproto.Group) {
	_ = c.s.push(op{kind: opFrame, conn: c, frame: &logproto.Frame{Groups: gs}, oneWay: true}) // may be lost
}

// Close ends the connection.
func (c *Conn) Close() { c.over.Store(true) }

func (c *Conn) broken(err error) {
	if !c.over.Swap(true) {
		c.r.Broken(err)
	}
}

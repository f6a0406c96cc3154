package faults

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is a TCP proxy in front of a process: what goes through it takes longer, in both directions.
type link struct {
	ln      net.Listener
	to      string
	delay   atomic.Int64 // nanoseconds
	running sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// newLink makes a proxy on a free port of an address.
func newLink(at, to string) (*link, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(at, "0"))
	if err != nil {
		return nil, err
	}
	l := &link{ln: ln, to: to}
	l.running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			l.running.Go(func() { l.carry(c) })
		}
	})
	return l, nil
}

// carry connects both ends until one of them closes.
func (l *link) carry(a net.Conn) {
	b, err := net.DialTimeout("tcp", l.to, time.Second)
	if err != nil {
		_ = a.Close() // as if nobody listened
		return
	}
	l.mu.Lock()
	l.conns = append(l.conns, a, b)
	l.mu.Unlock()
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		l.running.Go(func() {
			l.pump(pair[0], pair[1])
			_, _ = a.Close(), b.Close() // the other direction ends too
		})
	}
}

// chunk is some bytes and when they are to arrive.
type chunk struct {
	bytes []byte
	due   time.Time
}

// chunksMax is how many chunks may be on their way.
const chunksMax = 1024

func (l *link) pump(from, to net.Conn) {
	way := make(chan chunk, chunksMax) // closed by the reader
	l.running.Go(func() {
		defer close(way)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				way <- chunk{buf[:n], time.Now().Add(time.Duration(l.delay.Load()))}
			}
			if err != nil {
				return
			}
		}
	})
	var err error
	for c := range way {
		if err != nil {
			continue // the reader must not block
		}
		if wait := time.Until(c.due); wait > 0 {
			<-time.After(wait)
		}
		if _, err = to.Write(c.bytes); err != nil {
			_ = from.Close() // ends the reader
		}
	}
}

// Close ends all connections.
func (l *link) Close() error {
	err := l.ln.Close()
	l.mu.Lock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
	return err
}

var _ io.Closer = (*link)(nil)

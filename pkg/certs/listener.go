package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Standing is what the other side of a connection has shown.
type Standing uint8

// The standings.
const (
	Plain     Standing = iota // no TLS
	Anonymous                 // TLS, and no certificate
	Known                     // a certificate that the CA signed, with an allowed name
)

// String names the standing as metrics do.
func (s Standing) String() string { return [...]string{"plain", "anonymous", "known"}[s] }

const (
	// handshakeByte is how a TLS connection begins.
	handshakeByte = 0x16
	// handshakeTimeout is how long a handshake may take.
	handshakeTimeout = 10 * time.Second
	// lingerTimeout and lingerBytes are how long a client that was refused may take to go, and how much it may send meanwhile.
	lingerTimeout = time.Second
	lingerBytes   = 64 << 10
)

var (
	errPlain     = errors.New("it speaks no TLS, and networking.tls.mode is strict here")
	errAnonymous = errors.New("it shows no certificate, and networking.tls.mode is strict here")
)

// Listener finds out by the first byte of each connection whether it speaks TLS. The connections are *Conn; nobody waits for them
// in Accept. onlyDaemons: nobody else has business here, and what Strict forbids never gets through.
func (m *Mutual) Listener(ln net.Listener, onlyDaemons bool) net.Listener {
	if m == nil {
		return ln
	}
	return &listener{Listener: ln, m: m, config: m.serverConfig(onlyDaemons), onlyDaemons: onlyDaemons}
}

type listener struct {
	net.Listener
	m           *Mutual
	config      *tls.Config
	onlyDaemons bool
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, l: l, open: c}, nil
}

// Conn is a connection that another process made. Its first Read or Write shakes hands, if there is TLS.
type Conn struct {
	net.Conn // TCP's
	l        *listener

	begin    sync.Once
	standing Standing // of what follows: fixed by begin
	err      error

	mu   sync.Mutex // guards what follows
	open net.Conn   // what bytes go through
}

// Standing is what the other side has shown, once a byte was read.
func (c *Conn) Standing() Standing {
	c.begin.Do(c.start)
	return c.standing
}

// Refuse says that the standing does not do; whoever calls it closes the connection, or answers and closes it.
func (c *Conn) Refuse() {
	err := errAnonymous
	if c.standing == Plain {
		err = errPlain
	}
	c.l.m.refuse(c.RemoteAddr(), c.standing.String(), err)
}

func (c *Conn) start() {
	first := make([]byte, 1)
	n, err := c.Conn.Read(first)
	if n == 0 {
		c.err = err // it is gone, or said nothing
		return
	}
	seen := &prefixed{Conn: c.Conn, first: first}
	if first[0] != handshakeByte {
		c.use(seen)
		if c.l.onlyDaemons && c.l.m.strict {
			c.err = errPlain
			c.Refuse()
			return
		}
		c.l.m.metrics.accepted.WithLabelValues(c.standing.String()).Inc()
		return
	}
	t := tls.Server(seen, c.l.config)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout) // Close ends it before
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		c.err = fmt.Errorf("TLS: %w", err)
		c.l.m.refuse(c.RemoteAddr(), "handshake", err)
		c.linger()
		return
	}
	c.standing = Anonymous
	if len(t.ConnectionState().VerifiedChains) > 0 {
		c.standing = Known
	}
	c.l.m.metrics.accepted.WithLabelValues(c.standing.String()).Inc()
	c.use(t)
}

// linger lets the client read why it was refused. It may have sent what it would say first by then: closing before that has come would reset
// the connection, and the alert with it.
func (c *Conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(c.l.m.host.Clock.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // until the client has gone, or it is enough
}

func (c *Conn) use(n net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = n
}

func (c *Conn) current() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	c.begin.Do(c.start)
	if c.err != nil {
		return 0, c.err
	}
	return c.current().Read(b)
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.begin.Do(c.start)
	if c.err != nil {
		return 0, c.err
	}
	return c.current().Write(b)
}

// Close implements net.Conn.
func (c *Conn) Close() error { return c.current().Close() }

// prefixed gives back a byte that was read already.
type prefixed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

package h2

import (
	"net/url"
	"slices"
)

// Key names a target.
type Key struct {
	Authority string // host:port
	Secure    bool   // TLS
}

// KeyOf returns the target of an http or https URL.
func KeyOf(u *url.URL) Key {
	k := Key{Authority: u.Host, Secure: u.Scheme == "https"}
	if u.Port() == "" {
		k.Authority += ":80"
		if k.Secure {
			k.Authority = u.Host + ":443"
		}
	}
	return k
}

// Target is an endpoint with its connections. It belongs to the loop.
type Target struct {
	client *Client
	key    Key
	conns  []*Conn // oldest first; dead ones leave with the next prune
}

// Target returns the target of a key. Targets are kept: there are as many as there were endpoints.
func (c *Client) Target(k Key) *Target {
	t := c.targets[k]
	if t == nil {
		t = &Target{client: c, key: k}
		c.targets[k] = t
	}
	return t
}

// Conns returns how many connections are open or being opened.
func (t *Target) Conns() int {
	t.prune()
	return len(t.conns)
}

// Open starts a request on s and appends its HEADERS; nothing is sent before Client.Flush. The memory
// of s is the caller's and may be used again only after h.Closed, which is the last call that h gets.
// After an error h is not called at all. extra is borrowed.
func (t *Target) Open(s *Stream, h Handler, head *Head, extra []Field) error {
	err := t.open(s, h, head, extra)
	if err != nil {
		t.client.streamsFailed.Add(1)
		return err
	}
	t.client.streamsOpened.Add(1)
	return nil
}

func (t *Target) open(s *Stream, h Handler, head *Head, extra []Field) error {
	s.handler = h
	dead := false
	for _, conn := range t.conns {
		switch conn.open(s, head, extra) {
		case opened:
			t.client.Touch(s)
			return nil
		case connDead:
			dead = true
		case connFull:
		}
	}
	if dead {
		t.prune()
	}
	if len(t.conns) >= connsMax || t.useless() {
		return ErrBusy
	}
	conn := newConn(t.client, t.key)
	if conn.open(s, head, extra) != opened || !t.client.spawn(conn) {
		return ErrStopped
	}
	t.conns = append(t.conns, conn)
	t.client.Touch(s)
	return nil
}

// useless tells whether the endpoint allows no streams at all: another connection would not help.
func (t *Target) useless() bool {
	return slices.ContainsFunc(t.conns, (*Conn).closedToStreams)
}

func (t *Target) prune() {
	t.conns = slices.DeleteFunc(t.conns, (*Conn).isDead)
}

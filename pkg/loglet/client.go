package loglet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// Servers knows the log-servers of the cluster.
type Servers interface {
	// Members describes nodes as the metadata knows them now.
	Members(nodes []id.Node) []quorum.Member
	// Server returns the log-server of a node, connected or not.
	Server(n id.Node) (logproto.Server, error)
}

// Client seals and reads loglets. It is safe for concurrent use.
type Client struct {
	cfg     Config
	servers Servers
	h       host.Host
	metrics *metrics

	// mu guards shunned: who is asked last, and until when. It is a leaf.
	mu      sync.Mutex
	shunned map[id.Node]time.Time
}

// NewClient returns a client.
func NewClient(cfg Config, servers Servers, h host.Host) *Client {
	return &Client{cfg: cfg, servers: servers, h: h, metrics: newMetrics(h.Metrics), shunned: map[id.Node]time.Time{}}
}

func (c *Client) nodeset(l *storedv1.Loglet) (*quorum.Nodeset, error) {
	return logproto.NodesetOf(l, c.servers.Members)
}

// Seal ends the loglet for ever and returns its tail, with all below it on a write quorum, or on all that are left. It tries until
// ctx ends. Nothing is published: whoever extends the chain at a tail first decides it.
func (c *Client) Seal(ctx context.Context, l *storedv1.Loglet) (tail lsn.Offset, err error) {
	ref := logproto.RefOf(l)
	set, err := c.nodeset(l)
	if err != nil {
		return 0, err
	}
	start := c.h.Clock.Now()
	e := &recovering{c: c, set: set, r: NewRecovery(ref, set), replies: make(chan asked, repliesMax), busy: map[Key]bool{}, retryAt: map[Key]time.Time{}}
	if tail, err = e.run(ctx, ref); err != nil {
		c.metrics.failed.Inc()
		return 0, fmt.Errorf("seal loglet %s: %w", ref.Loglet, err)
	}
	took := c.h.Clock.Now().Sub(start)
	c.metrics.seals.Observe(took.Seconds())
	if set.Short() {
		c.h.Log.Warn("log-servers of a loglet lost their data: what is left of it has fewer copies than asked for", slog.String(logkey.Loglet, ref.Loglet.String()))
	}
	c.h.Log.Debug("loglet sealed", slog.String(logkey.Loglet, ref.Loglet.String()), slog.Uint64(logkey.LSN, uint64(tail)), slog.Duration(logkey.Elapsed, took))
	return tail, nil
}

// repliesMax is how many replies wait for the loop of a recovery.
const repliesMax = 16

type asked struct {
	want  Want
	reply Reply
}

// recovering is the engine of one Recovery: it asks what is wanted, each want once at a time.
type recovering struct {
	c       *Client
	set     *quorum.Nodeset
	r       *Recovery
	replies chan asked
	busy    map[Key]bool
	retryAt map[Key]time.Time
	heard   time.Time // last answer without error
	last    error     // of a question
}

func (e *recovering) run(ctx context.Context, ref logproto.Ref) (tail lsn.Offset, err error) {
	actx, cancel := context.WithCancel(ctx)
	g := lifecycle.NewGroup(actx)
	defer func() {
		cancel()
		_ = g.Wait() // questions never fail the group
	}()
	timer := e.c.h.Clock.NewTimer(e.c.cfg.RetryPause)
	defer timer.Stop()
	e.heard = e.c.h.Clock.Now()
	for {
		tail, ok, err := e.r.Done()
		if ok {
			return tail, err
		}
		e.askAll(g, ref)
		timer.Reset(e.c.cfg.RetryPause)
		select {
		case a := <-e.replies:
			e.take(a)
		case <-timer.C():
			e.restart(ref)
		case <-ctx.Done():
			err = context.Cause(ctx)
			if e.last != nil {
				err = fmt.Errorf("%w (last answer: %w)", err, e.last)
			}
			return 0, errs.With(errs.Unavailable, err)
		}
	}
}

// restart begins anew when those that still have to answer are silent: the tail may depend on a
// log-server that died since, and without it another tail is right.
func (e *recovering) restart(ref logproto.Ref) {
	if now := e.c.h.Clock.Now(); now.Sub(e.heard) > e.c.cfg.RestartAfter {
		e.heard = now
		e.r = NewRecovery(ref, e.set)
	}
}

func (e *recovering) take(a asked) {
	key := a.want.Key()
	delete(e.busy, key)
	err := a.reply.err(a.want.Ask)
	now := e.c.h.Clock.Now()
	if err != nil {
		e.last = err
		e.retryAt[key] = now.Add(e.c.cfg.RetryPause)
	} else {
		e.heard = now
		if a.want.Ask == AskRepair {
			e.c.metrics.repaired.Add(float64(a.want.Group.Count))
		}
	}
	e.r.Step(a.want, a.reply)
}

// err is why the reply does not help.
func (r *Reply) err(a Ask) error {
	switch {
	case r.Err != nil:
		return r.Err
	case a == AskSeal:
		return r.Seal.Status.Err()
	case a == AskDigest:
		return r.Digest.Status.Err()
	case a == AskRecords:
		return r.Records.Status.Err()
	default:
		return r.Repair.Status.Err()
	}
}

// askAll asks what is wanted and not under way.
func (e *recovering) askAll(g *lifecycle.Group, ref logproto.Ref) {
	now := e.c.h.Clock.Now()
	for _, w := range e.r.Wants() {
		key := w.Key()
		if e.busy[key] || now.Before(e.retryAt[key]) {
			continue
		}
		e.busy[key] = true
		g.Go("ask", func(ctx context.Context) error {
			select {
			case e.replies <- asked{w, e.ask(ctx, ref, w)}:
			case <-ctx.Done():
			}
			return nil
		})
	}
}

func (e *recovering) ask(ctx context.Context, ref logproto.Ref, w Want) (reply Reply) {
	s, err := e.c.servers.Server(e.set.Member(w.Member).Node)
	if err != nil {
		return Reply{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, e.c.cfg.AskTimeout)
	defer cancel()
	switch w.Ask {
	case AskSeal:
		reply.Seal, reply.Err = s.Seal(ctx, ref)
	case AskDigest:
		reply.Digest, reply.Err = s.Digest(ctx, logproto.DigestRequest{Ref: ref, From: w.From, To: w.To})
	case AskRecords:
		reply.Records, reply.Err = s.Records(ctx, logproto.RecordsRequest{Ref: ref, From: w.From, To: w.To, BytesMax: e.c.cfg.ReadBytesMax})
	case AskRepair:
		reply.Repair, reply.Err = s.Repair(ctx, w.Group)
	}
	return reply
}

package sim_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
	"reprise/pkg/membership"
	"reprise/pkg/quorum"
)

// fingerprint is the cluster's.
const fingerprint = 7

func (p *process) runLogServer(reg *storedv1.Node) (err error) {
	serverCfg, storeCfg := logservertest.Config()
	store, err := logstore.Open(storeCfg, p.host, "log")
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, store)
	if !p.w.mistakes.emptyDisks {
		if err := logserver.Admit(p.ctx, store, reg, fingerprint, p.store, p.host); err != nil {
			return err
		}
	}
	s := logserver.New(serverCfg, store, p.self, p.host)
	if !p.alive() {
		return nil
	}
	p.w.check.started(p.m.node, s)
	defer p.w.check.left(p, s)
	attendance := membership.NewAttendance(p.self, p.view, control{p}, nil, p.host)
	serves := lifecycle.Func(func(ctx context.Context) error {
		p.get(func() { p.server = s })
		<-ctx.Done()
		p.get(func() { p.server = nil })
		return nil
	})
	return lifecycle.Run(p.ctx, p.view, membership.NewPresence(p.self, p.store, p.view, p.host), attendance, s, serves, attendance.Departure())
}

// logs reaches log-servers; it is a sequencer.Dialer and loglet.Servers.
type logs struct{ p *process }

// Members describes nodes, as rpc.LogDialer does.
func (l logs) Members(nodes []id.Node) []quorum.Member {
	out := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		out[i] = quorum.Member{Node: n, State: storedv1.StorageState_STORAGE_STATE_PROVISIONING}
		if known := l.p.view.Node(n); known != nil {
			out[i].Location, out[i].State = known.Location, known.StorageState
		}
		if l.p.w.mistakes.disabled && i == int(l.p.m.node)%len(nodes) {
			out[i].State = storedv1.StorageState_STORAGE_STATE_DISABLED
		}
	}
	return out
}

// Server implements loglet.Servers.
func (l logs) Server(n id.Node) (logproto.Server, error) {
	return remote{l.p, n, l.p.w.nameOf(n)}, nil
}

// remote is a log-server as another process reaches it.
type remote struct {
	p    *process
	node id.Node
	name string
}

func ask[A any](ctx context.Context, r remote, what string, f func(ctx context.Context, s *logserver.Server) (A, error)) (A, error) {
	return call(ctx, r.p.w, r.p, r.name, what, func(ctx context.Context, p *process) (A, error) {
		s := p.logServer()
		if s == nil {
			var none A
			return none, errRefused
		}
		return f(ctx, s)
	})
}

func (r remote) Seal(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	return ask(ctx, r, fmt.Sprintf("seal %s", ref.Loglet), func(ctx context.Context, s *logserver.Server) (logproto.Info, error) {
		if r.p.w.mistakes.lostSeals && ref.Nonce%3 == uint64(r.node)%3 {
			i, err := s.Info(ctx, ref)
			i.Sealed = true
			return i, err
		}
		i, err := s.Seal(ctx, ref)
		if err == nil && i.Status == logproto.Ok {
			r.p.w.check.sealed(r.node, ref.Loglet)
		}
		return i, err
	})
}

func (r remote) Info(ctx context.Context, ref logproto.Ref) (logproto.Info, error) {
	return ask(ctx, r, fmt.Sprintf("info %s", ref.Loglet), func(ctx context.Context, s *logserver.Server) (logproto.Info, error) {
		before := r.p.w.check.deletedAt(r.node, ref.Loglet)
		i, err := s.Info(ctx, ref)
		if err == nil {
			r.p.w.check.shows(r.node, ref.Loglet, before, i.Status, i.Trimmed)
		}
		return i, err
	})
}

func (r remote) Records(ctx context.Context, q logproto.RecordsRequest) (logproto.RecordsAnswer, error) {
	return ask(ctx, r, fmt.Sprintf("records %s %d-%d", q.Loglet, q.From, q.To), func(ctx context.Context, s *logserver.Server) (logproto.RecordsAnswer, error) {
		before := r.p.w.check.deletedAt(r.node, q.Loglet)
		a, err := s.Records(ctx, q)
		if err == nil && before >= q.From {
			r.p.w.check.shows(r.node, q.Loglet, before, a.Status, a.Trimmed)
		}
		return a, err
	})
}

func (r remote) Digest(ctx context.Context, q logproto.DigestRequest) (logproto.DigestAnswer, error) {
	return ask(ctx, r, fmt.Sprintf("digest %s %d-%d", q.Loglet, q.From, q.To), func(ctx context.Context, s *logserver.Server) (logproto.DigestAnswer, error) {
		a, err := s.Digest(ctx, q)
		if r.p.w.mistakes.early {
			a.Exists = append(a.Exists, r.p.w.check.unsynced(r.node, q, a)...)
		}
		return a, err
	})
}

func (r remote) Repair(ctx context.Context, g logproto.Group) (logproto.Answer, error) {
	g.Records = slices.Clone(g.Records)
	return ask(ctx, r, fmt.Sprintf("repair %s %d", g.Loglet, g.First), func(ctx context.Context, s *logserver.Server) (logproto.Answer, error) {
		r.p.w.check.repairs.Add(1)
		if r.p.w.mistakes.claims {
			return logproto.Answer{Status: logproto.Ok, Tail: g.End()}, nil
		}
		return s.Repair(ctx, g)
	})
}

func (r remote) Trim(ctx context.Context, ref logproto.Ref, through lsn.Offset) (logproto.Info, error) {
	return ask(ctx, r, fmt.Sprintf("trim %s %d", ref.Loglet, through), func(ctx context.Context, s *logserver.Server) (logproto.Info, error) {
		r.p.w.check.trimAt(ref.Loglet, through)
		i, err := s.Trim(ctx, ref, through)
		if err == nil && i.Status == logproto.Ok {
			r.p.w.check.trimmedAt(r.node, ref.Loglet, min(through, i.Trimmed))
		}
		return i, err
	})
}

func (r remote) WaitForTail(ctx context.Context, q logproto.TailWait) (logproto.Info, error) {
	return ask(ctx, r, fmt.Sprintf("wait %s %d", q.Loglet, q.Known), func(ctx context.Context, s *logserver.Server) (logproto.Info, error) {
		return s.WaitForTail(ctx, q)
	})
}

// link is a connection of a log writer to a log-server. What it carries stays in order; if something of it is lost, it is
// broken. What was under way then may come to the server later, after what the next connection carries.
type link struct {
	p      *process
	node   id.Node
	name   string
	r      logproto.Receiver
	there  order
	back   order
	server *logserver.Server // the driver's: which one it is connected to
	conn   logproto.Conn

	mu     sync.Mutex
	over   bool
	frames map[*logproto.Frame]func([]logproto.Answer) // at the server
}

// Dial implements sequencer.Dialer.
func (l logs) Dial(n id.Node, r logproto.Receiver) logproto.Conn {
	return &link{p: l.p, node: n, name: l.p.w.nameOf(n), r: r, frames: map[*logproto.Frame]func([]logproto.Answer){}}
}

func (k *link) end() (was bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, k.over = k.over, true
	return was
}

func (k *link) ended() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.over
}

// Close implements logproto.Conn.
func (k *link) Close() { k.end() }

func (k *link) broken() {
	if !k.end() && k.p.alive() {
		k.r.Broken(errReset)
	}
}

// Send implements logproto.Conn.
func (k *link) Send(f *logproto.Frame) {
	copied := copyOf(f.Groups)
	k.send(fmt.Sprintf("store %s %d", f.Groups[0].Loglet, f.Groups[0].First), copied, func(answers []logproto.Answer) {
		f.Answers = append(f.Answers[:0], answers...)
		k.r.Stored(f)
	})
}

// Release implements logproto.Conn.
func (k *link) Release(gs []logproto.Group) {
	gs = copyOf(gs)
	slices.SortFunc(gs, func(a, b logproto.Group) int { return cmp.Compare(a.Loglet, b.Loglet) }) // they come in the order of a map
	k.send(fmt.Sprintf("release %s %d", gs[0].Loglet, gs[0].Known), gs, nil)
}

func copyOf(groups []logproto.Group) []logproto.Group {
	out := slices.Clone(groups)
	for i := range out {
		out[i].Records = slices.Clone(out[i].Records)
	}
	return out
}

// send carries groups to the server. stored is nil if no answer is wanted.
func (k *link) send(what string, groups []logproto.Group, stored func([]logproto.Answer)) {
	w := k.p.w
	w.net.post(&message{by: k.p, from: k.p.name, to: k.name, what: what, order: &k.there,
		arrive: func() { k.arrive(groups, stored) },
		lose: func() {
			if w.chance(w.faults.late) { // it is on its way yet
				w.net.post(&message{from: k.p.name, to: k.name, what: what + " late", certain: true, delay: w.lateness, arrive: func() { k.stray(groups) }})
			}
			k.broken()
		}})
}

// arrive hands groups to the server.
func (k *link) arrive(groups []logproto.Group, stored func([]logproto.Answer)) {
	w := k.p.w
	p := w.processes[k.name]
	var s *logserver.Server
	if p != nil && p.alive() {
		s = p.logServer()
	}
	switch {
	case s == nil || k.server != nil && k.server != s:
		w.net.post(&message{from: k.name, to: k.p.name, what: "broken", certain: true, delay: w.latency, arrive: k.broken})
		return
	case k.ended() && !k.p.dead.Load(): // the connection was closed on this side
		if !w.chance(w.faults.late) {
			return
		}
	case k.server == nil:
		k.server = s
		k.conn = s.Connect(k.p.self, receiver{k, p})
	}
	if k.conn == nil {
		return
	}
	if w.chance(w.faults.twice) {
		w.net.post(&message{from: k.p.name, to: k.name, what: "double", certain: true, delay: w.lateness, arrive: func() { k.stray(copyOf(groups)) }})
	}
	if w.mistakes.frame != nil {
		w.mistakes.frame(groups)
	}
	if stored == nil {
		k.conn.Release(groups)
		return
	}
	f := &logproto.Frame{Groups: groups}
	w.check.sent(k.node, groups)
	k.mu.Lock()
	k.frames[f] = stored
	k.mu.Unlock()
	k.conn.Send(f)
}

// receiver takes the server's answers back to the writer.
type receiver struct {
	k *link
	p *process // of the server
}

func (r receiver) Stored(f *logproto.Frame) {
	k, w := r.k, r.k.p.w
	k.mu.Lock()
	stored := k.frames[f]
	delete(k.frames, f)
	k.mu.Unlock()
	if !r.p.alive() {
		return
	}
	answers := slices.Clone(f.Answers)
	w.check.stored(k.node, f.Groups, answers)
	w.net.post(&message{from: k.name, to: k.p.name, what: fmt.Sprintf("stored %s %d", f.Groups[0].Loglet, f.Groups[0].First), order: &k.back,
		arrive: func() {
			if !k.ended() && k.p.alive() {
				stored(answers)
			}
		},
		lose: k.broken})
}

func (r receiver) Broken(error) {
	if !r.p.alive() {
		return
	}
	k := r.k
	k.p.w.net.post(&message{from: k.name, to: k.p.name, what: "broken", certain: true, delay: k.p.w.latency, arrive: k.broken})
}

// stray brings groups to the server over a connection that nobody listens to any more.
func (k *link) stray(groups []logproto.Group) {
	p := k.p.w.processes[k.name]
	if p == nil || !p.alive() {
		return
	}
	if s := p.logServer(); s != nil {
		s.Connect(k.p.self, nobody{}).Send(&logproto.Frame{Groups: groups})
	}
}

type nobody struct{}

func (nobody) Stored(*logproto.Frame) {}
func (nobody) Broken(error)           {}

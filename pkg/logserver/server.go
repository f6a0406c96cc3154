package logserver

import (
	"context"
	"sync"
	"sync/atomic"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
)

var errStopped = errs.Newf(errs.Unavailable, "the log-server stops")

// Server is a log-server.
type Server struct {
	cfg     Config
	store   *logstore.Store
	self    id.GenerationalNode
	h       host.Host
	metrics *metrics
	ready   chan struct{}

	left   atomic.Uint32 // space; see checkSpace
	failed atomic.Bool   // a commit failed; set once

	// queueMu guards what waits for the committer.
	queueMu    sync.Mutex
	queue      []op
	queueBytes int // of the records in it
	stopped    bool
	wake       chan struct{} // one token: the queue is not empty any more

	// mu guards what readers see.
	mu      sync.Mutex
	loglets map[id.Loglet]*loglet
}

// loglet is one loglet in memory.
type loglet struct {
	// Owned by the committer: what is so once the batch in hand is synced.
	staged    logproto.Replica
	fresh     []logproto.Range // written by the batch in hand
	inBatch   bool
	keptKnown bool // staged.Known is stored

	// Guarded by Server.mu: what is synced.
	seen     logproto.Replica
	unsynced []logproto.Range // below seen.Tail, in the store but not synced yet
	changed  chan struct{}    // closed at the next change of seen; nil if nobody waits
}

// New returns the log-server of an admitted store (see Admit), which stays the caller's to close.
func New(cfg Config, store *logstore.Store, self id.GenerationalNode, h host.Host) *Server {
	s := &Server{
		cfg: cfg, store: store, self: self, h: h, metrics: newMetrics(h.Metrics),
		ready: make(chan struct{}), wake: make(chan struct{}, 1), loglets: map[id.Loglet]*loglet{},
	}
	host.AddPool(h.Metrics, "log-server-data", func() int64 { return int64(cfg.QueueBytesMax) }, s.waitingBytes)
	return s
}

// waitingBytes is how many bytes of records wait for the committer.
func (s *Server) waitingBytes() int64 {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	return int64(s.queueBytes)
}

// Self is the node of the log-server.
func (s *Server) Self() id.GenerationalNode { return s.self }

// Ready is closed when the server serves.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Disabled tells whether stores are refused.
func (s *Server) Disabled() bool { return space(s.left.Load()) != spaceEnough || s.failed.Load() }

// firstBytesMax is the largest first group of a loglet that is stored below the reserve: a leader's
// announcement is much smaller.
const firstBytesMax = 4 << 10

// refuses tells whether a group is not stored because of the state of the disk.
func (s *Server) refuses(g *logproto.Group) bool {
	switch {
	case s.failed.Load():
		return true
	case space(s.left.Load()) == spaceLow:
		return !g.Repair && (g.First != lsn.FirstOffset || len(g.Records) > firstBytesMax)
	default:
		return space(s.left.Load()) == spaceOut
	}
}

// Run serves until ctx ends or the store fails. What waits then is told so.
func (s *Server) Run(ctx context.Context) error {
	s.checkSpace()
	g := lifecycle.NewGroup(ctx)
	g.Go("committer", s.commitLoop)
	g.Go("upkeep", s.upkeepLoop)
	close(s.ready)
	err := g.Wait()
	for _, o := range s.stop() {
		o.refuse(errStopped)
	}
	s.mu.Lock()
	s.metrics.stopped.Add(float64(len(s.loglets)))
	s.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) stop() []op {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	s.stopped = true
	rest := s.queue
	s.queue, s.queueBytes = nil, 0
	return rest
}

// get returns the loglet, from the store at its first touch.
func (s *Server) get(l id.Loglet) (*loglet, error) {
	s.mu.Lock()
	lg := s.loglets[l]
	s.mu.Unlock()
	if lg != nil {
		return lg, nil
	}
	r, err := s.store.Load(l)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if lg := s.loglets[l]; lg != nil {
		return lg, nil // somebody was faster; only its copy may have moved on
	}
	lg = &loglet{staged: r, seen: r, keptKnown: true}
	s.loglets[l] = lg
	s.metrics.started.Inc()
	return lg, nil
}

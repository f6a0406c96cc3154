package metastore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
)

// Format is the newest format of the documents that this binary reads and the one it writes.
const Format = 1

const (
	// leadTry bounds one try on the way to leadership: a proposal sent to an etcd leader that just
	// died is lost and would answer after 5 s, another member answers now.
	leadTry = 150 * time.Millisecond
	// slowTry bounds one try of everything else.
	slowTry = 2 * time.Second
	// pauses between tries that failed at once.
	pauseMin = 10 * time.Millisecond
	pauseMax = 200 * time.Millisecond
)

// Store reads and writes the documents of one cluster. It is safe for concurrent use.
type Store struct {
	kv   KV
	keys keys
	name string
	host host.Host

	// mu guards known: the deployments of the schema that was read last. Never held across I/O.
	mu    sync.Mutex
	known documents
}

// New returns the store of the named cluster.
func New(kv KV, cluster string, h host.Host) *Store {
	asked := newCounted(kv, h.Clock, newOperations(h.Metrics, "client", "_seconds"))
	asked.conflicts = host.Register(h.Metrics, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "reprise_metastore_conflicts_total", Help: "Writes of metadata that lost against those of others, and were decided anew. Many: two processes do the same.",
	}))
	return &Store{kv: asked, keys: newKeys(cluster), name: cluster, host: h, known: documents{}}
}

// message is a document.
type message interface {
	proto.Message
	MarshalVT() ([]byte, error)
	UnmarshalVT(b []byte) error
}

// decode fills m from the only item, if there is one, and returns the revision that wrote it.
func decode(items []Item, m message) (revision int64, err error) {
	if len(items) == 0 {
		return 0, nil
	}
	if err := m.UnmarshalVT(items[0].Value); err != nil {
		return 0, errs.Newf(errs.Corrupt, "decode %s: %w", items[0].Key, err)
	}
	return items[0].Modified, nil
}

func put(key string, m message) (Write, error) {
	b, err := m.MarshalVT()
	if err != nil {
		return Write{}, errs.Newf(errs.Internal, "encode %s: %w", key, err)
	}
	return Write{Key: key, Value: b}, nil
}

// tries repeats f, each within the given time, as long as it fails for want of an answer and ctx
// lives. f must be safe to repeat after an unknown outcome.
func (s *Store) tries(ctx context.Context, each time.Duration, f func(context.Context) error) error {
	uncertain := false
	pause := pauseMin
	for {
		tctx, cancel := context.WithTimeout(ctx, each)
		err := f(tctx)
		cancel()
		switch {
		case err == nil:
			return nil
		case errs.Is(err, errs.Uncertain):
			uncertain = true
		case !errs.Is(err, errs.Unavailable):
			return err
		}
		if !s.sleep(ctx, pause) {
			if uncertain {
				return errs.With(errs.Uncertain, err)
			}
			return err
		}
		pause = min(2*pause, pauseMax)
	}
}

// sleep waits for d and tells whether ctx still lives.
func (s *Store) sleep(ctx context.Context, d time.Duration) bool {
	t := s.host.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C():
		return ctx.Err() == nil
	}
}

// errRace says that another writer came first; the caller of tries reads again.
var errRace = errors.New("another writer came first")

// change repeats read, decide, write until no other writer came between. f must judge the state it
// reads anew each time.
func (s *Store) change(ctx context.Context, f func(context.Context) error) error {
	for {
		err := s.tries(ctx, slowTry, f)
		if !errors.Is(err, errRace) {
			return err
		}
		if ctx.Err() != nil {
			return errs.With(errs.Unavailable, err)
		}
	}
}

// write commits or says errRace.
func (s *Store) write(ctx context.Context, conds []Cond, writes ...Write) error {
	ok, _, err := s.kv.Txn(ctx, conds, writes)
	if err == nil && !ok {
		return errs.With(errs.Conflict, errRace)
	}
	return err
}

// Provision creates the cluster if there is none and returns the one that is there. The first wins; a
// zero fingerprint is replaced by a random one.
func (s *Store) Provision(ctx context.Context, spec *storedv1.Cluster) (*storedv1.Cluster, error) {
	want := proto.CloneOf(spec)
	want.Format, want.Name = Format, s.name
	for want.Fingerprint == 0 {
		want.Fingerprint = s.host.Rand.Uint64()
	}
	if want.CreatedAtMs == 0 {
		want.CreatedAtMs = host.Millis(s.host.Clock)
	}
	w, err := put(s.keys.cluster(), want)
	if err != nil {
		return nil, err
	}
	var got *storedv1.Cluster
	err = s.change(ctx, func(ctx context.Context) error {
		var rerr error
		if got, rerr = s.cluster(ctx); !errs.Is(rerr, errs.NotFound) {
			return rerr
		}
		got = want
		return s.write(ctx, []Cond{{Key: w.Key}}, w)
	})
	if err != nil {
		return nil, fmt.Errorf("provision cluster %s: %w", s.name, err)
	}
	return got, nil
}

// Cluster returns the cluster document, or errs.NotFound before it is provisioned.
func (s *Store) Cluster(ctx context.Context) (c *storedv1.Cluster, err error) {
	err = s.tries(ctx, slowTry, func(ctx context.Context) (err error) {
		c, err = s.cluster(ctx)
		return err
	})
	return c, err
}

func (s *Store) cluster(ctx context.Context) (*storedv1.Cluster, error) {
	items, _, err := s.kv.Read(ctx, Range{Key: s.keys.cluster()})
	if err != nil {
		return nil, err
	}
	c := &storedv1.Cluster{}
	rev, err := decode(items[0], c)
	if err != nil {
		return nil, err
	}
	if rev == 0 {
		return nil, errs.Newf(errs.NotFound, "cluster %s is not provisioned", s.name)
	}
	return c, checkFormat(c)
}

func checkFormat(c *storedv1.Cluster) error {
	if c.Format > Format {
		return errs.Newf(errs.Unsupported, "cluster %s has metadata format %d, this binary reads up to %d: upgrade it", c.Name, c.Format, Format)
	}
	return nil
}

// finalError keeps an error of a caller's function from being taken for one of the store's and tried again.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

func final(err error) error { return errs.With(errs.Internal, &finalError{err: err}) }

// AnnouncePresence holds the presence key of a running node until ctx ends. It is a hint, never a fence.
func (s *Store) AnnouncePresence(ctx context.Context, me id.GenerationalNode, ttl time.Duration, held func()) error {
	return s.kv.Hold(ctx, s.keys.presence(me.Node), decimal(me.Generation), ttl, held)
}

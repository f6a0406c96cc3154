package metastore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/schema"
)

// Snapshot is what this process knows of the metadata. It is never changed; nor may its readers.
type Snapshot struct {
	Cluster    *storedv1.Cluster // nil until provisioned
	Nodes      []*storedv1.Node  // by id
	NodesSince int64             // revision that wrote the newest of them
	Partitions uint32
	Epochs     []*storedv1.Epoch // one per partition; one without replicas is nobody's yet
	Registry   *schema.Registry
	Directives []*storedv1.Directive // one per partition
	Present    []Presence            // processes that hold a lease, the longest holder first
}

// Presence is a process that holds a lease: it lives, or died a moment ago.
type Presence struct {
	ID      id.GenerationalNode
	Created int64 // revision at which the node came, across restarts within the lease
}

// Node returns the node of an id, or nil.
func (s *Snapshot) Node(n id.Node) *storedv1.Node {
	i := sort.Search(len(s.Nodes), func(i int) bool { return s.Nodes[i].Id >= uint32(n) })
	if i < len(s.Nodes) && s.Nodes[i].Id == uint32(n) {
		return s.Nodes[i]
	}
	return nil
}

// View keeps a Snapshot up to date. Without a metadata store it keeps the last one.
type View struct {
	store   *Store
	host    host.Host
	ready   chan struct{}
	current atomic.Pointer[Snapshot]

	// making is held while a snapshot is made, and guards defaults. Order: making, then mu.
	making   sync.Mutex
	defaults schema.Defaults

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
}

var _ lifecycle.Readier = (*View)(nil)

// NewView returns a view that Run fills.
func NewView(s *Store, d schema.Defaults, h host.Host) *View {
	v := &View{store: s, defaults: d, host: h, ready: make(chan struct{}), changed: make(chan struct{})}
	v.current.Store(&Snapshot{Registry: schema.NewRegistry(&storedv1.Schema{}, d)})
	return v
}

// SetDefaults says what services get that do not say otherwise.
func (v *View) SetDefaults(d schema.Defaults) {
	v.making.Lock()
	defer v.making.Unlock()
	v.defaults = d
	s := *v.Current()
	s.Registry = s.Registry.With(d)
	v.showLocked(&s)
}

// showLocked makes a snapshot the newest one; making is held.
func (v *View) showLocked(s *Snapshot) {
	v.current.Store(s)
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.changed)
	v.changed = make(chan struct{})
}

// Ready is closed once the metadata was read.
func (v *View) Ready() <-chan struct{} { return v.ready }

// Current returns the newest snapshot. It never blocks.
func (v *View) Current() *Snapshot { return v.current.Load() }

// Changed returns a channel that is closed at the next change. Take it before Current, or a change
// between the two is missed.
func (v *View) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// Node returns the node of an id in the newest snapshot, or nil.
func (v *View) Node(n id.Node) *storedv1.Node { return v.Current().Node(n) }

// Registry returns the newest registry of services.
func (v *View) Registry() *schema.Registry { return v.Current().Registry }

// Await blocks until a snapshot satisfies ok.
func (v *View) Await(ctx context.Context, ok func(*Snapshot) bool) (*Snapshot, error) {
	for {
		changed := v.Changed()
		if s := v.Current(); ok(s) {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, errs.With(errs.Unavailable, context.Cause(ctx))
		case <-changed:
		}
	}
}

// Run reads everything, then watches; after a break it reads everything again.
func (v *View) Run(ctx context.Context) error {
	pause, try := pauseMin, slowTry
	for {
		l, rev, err := v.load(ctx, try)
		if try = slowTry; err == nil {
			try = loadTry // of the next time
			if err = v.publish(l); err != nil {
				return err
			}
			if pause = pauseMin; v.firstTime() {
				close(v.ready)
			}
			err = v.store.kv.Watch(ctx, v.store.keys.root, rev+1, func(events []Event) error {
				if !l.take(events) {
					return nil
				}
				return v.publish(l)
			})
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && (errs.Is(err, errs.Corrupt) || errs.Is(err, errs.Unsupported)) {
			return fmt.Errorf("metadata: %w", err)
		}
		if !errors.Is(err, ErrCompacted) {
			v.host.Log.Warn("metadata not reachable, keeping what is known", slog.Any(logkey.Err, err))
		}
		if !v.store.sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, time.Second)
	}
}

func (v *View) firstTime() bool {
	select {
	case <-v.ready:
		return false
	default:
		return true
	}
}

// loadTry bounds the first try to read everything again: the member that is asked may be the one that hangs.
const loadTry = 300 * time.Millisecond

func (v *View) load(ctx context.Context, each time.Duration) (*loaded, int64, error) {
	k := v.store.keys
	tctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	got, rev, err := v.store.kv.Read(tctx, Range{Key: k.cluster()}, Range{Key: k.schema()}, Range{Key: k.documents(), Prefix: true},
		Range{Key: k.nodes(), Prefix: true}, Range{Key: k.epochs(), Prefix: true}, Range{Key: k.directives(), Prefix: true},
		Range{Key: k.presences(), Prefix: true})
	if err != nil {
		return nil, 0, err
	}
	l := &loaded{keys: k, items: map[string]Item{}, documents: documents{}}
	for _, items := range got {
		for _, it := range items {
			l.items[it.Key] = it
		}
	}
	return l, rev, nil
}

// loaded is the raw copy that a snapshot is made of.
type loaded struct {
	keys      keys
	items     map[string]Item
	documents documents // decoded
}

// document returns a chunk.
func (l *loaded) document(hash []byte) ([]byte, bool) {
	it, ok := l.items[l.keys.document(hash)]
	return it.Value, ok
}

// take applies changes and tells whether any of them shows in a snapshot.
func (l *loaded) take(events []Event) bool {
	shows := false
	for _, e := range events {
		k := l.keys
		switch {
		case e.Key == k.cluster(), e.Key == k.schema(), strings.HasPrefix(e.Key, k.nodes()),
			strings.HasPrefix(e.Key, k.epochs()), strings.HasPrefix(e.Key, k.directives()), strings.HasPrefix(e.Key, k.presences()):
			shows = true
		case strings.HasPrefix(e.Key, k.documents()): // the schema that names it comes later
		default:
			continue
		}
		if e.Deleted {
			delete(l.items, e.Key)
		} else {
			l.items[e.Key] = e.Item
		}
	}
	return shows
}

// publish makes a snapshot of what was loaded. Only Run's goroutine calls it.
func (v *View) publish(l *loaded) error {
	v.making.Lock()
	defer v.making.Unlock()
	s := &Snapshot{Registry: v.Current().Registry}
	if it, ok := l.items[l.keys.cluster()]; ok {
		s.Cluster = &storedv1.Cluster{}
		if _, err := decode([]Item{it}, s.Cluster); err != nil {
			return err
		}
		if err := checkFormat(s.Cluster); err != nil {
			return err
		}
		s.Partitions = s.Cluster.Partitions
	}
	if it, ok := l.items[l.keys.schema()]; ok {
		root := &storedv1.Schema{}
		if _, err := decode([]Item{it}, root); err != nil {
			return err
		}
		if root.Version != s.Registry.Version() {
			sch, err := l.documents.assemble(root, l.document)
			if err != nil {
				return err
			}
			s.Registry = schema.NewRegistry(sch, v.defaults)
		}
	}
	if err := s.fill(l); err != nil {
		return err
	}
	v.showLocked(s)
	return nil
}

func (s *Snapshot) fill(l *loaded) error {
	s.Epochs = make([]*storedv1.Epoch, s.Partitions)
	s.Directives = make([]*storedv1.Directive, s.Partitions)
	for p := range s.Epochs {
		s.Epochs[p], s.Directives[p] = &storedv1.Epoch{}, &storedv1.Directive{}
	}
	for key, it := range l.items {
		switch {
		case strings.HasPrefix(key, l.keys.nodes()):
			n := &storedv1.Node{}
			if _, err := decode([]Item{it}, n); err != nil {
				return err
			}
			s.Nodes = append(s.Nodes, n)
			s.NodesSince = max(s.NodesSince, it.Modified)
		case strings.HasPrefix(key, l.keys.epochs()):
			p, ok := number(key, l.keys.epochs(), 16)
			if !ok || p >= uint64(len(s.Epochs)) {
				continue // of a partition that does not exist: nothing reads it
			}
			if _, err := decode([]Item{it}, s.Epochs[p]); err != nil {
				return err
			}
		case strings.HasPrefix(key, l.keys.directives()):
			p, ok := number(key, l.keys.directives(), 16)
			if !ok || p >= uint64(len(s.Directives)) {
				continue
			}
			if _, err := decode([]Item{it}, s.Directives[p]); err != nil {
				return err
			}
		case strings.HasPrefix(key, l.keys.presences()):
			n, ok := number(key, l.keys.presences(), 32)
			g, err := parseDecimal(it.Value)
			if !ok || err != nil {
				return errs.Newf(errs.Corrupt, "decode %s", key)
			}
			s.Present = append(s.Present, Presence{ID: id.GenerationalNode{Node: id.Node(n), Generation: g}, Created: it.Created})
		}
	}
	sort.Slice(s.Nodes, func(i, j int) bool { return s.Nodes[i].Id < s.Nodes[j].Id })
	sort.Slice(s.Present, func(i, j int) bool { return s.Present[i].Created < s.Present[j].Created })
	return nil
}

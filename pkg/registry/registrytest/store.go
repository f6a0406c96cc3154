package registrytest

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/schema"
)

// Store is a registry.Store and the View of it. The zero value is not usable; see New.
type Store struct {
	defaults schema.Defaults

	mu      sync.Mutex
	schema  *storedv1.Schema
	seen    *schema.Registry // what the view shows
	lag     bool
	changed chan struct{} // closed when seen moves
	err     error
	before  func()
}

// New returns a store with an empty schema.
func New(d schema.Defaults) *Store {
	s := &storedv1.Schema{}
	return &Store{defaults: d, schema: s, seen: schema.NewRegistry(s, d), changed: make(chan struct{})}
}

// Fail makes every use of the store fail with err, until it is nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Lag keeps the view where it is until CatchUp.
func (s *Store) Lag() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = true
}

// CatchUp lets the view see what is stored.
func (s *Store) CatchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = false
	s.showLocked()
}

// Before runs f once, between a change that was computed and its being stored: another one comes first.
func (s *Store) Before(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Schema reads the newest schema.
func (s *Store) Schema(context.Context) (*storedv1.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return proto.CloneOf(s.schema), s.err
}

// UpdateSchema stores what change makes of the schema, by compare-and-set.
func (s *Store) UpdateSchema(_ context.Context, change func(*storedv1.Schema) (*storedv1.Schema, error)) (*storedv1.Schema, error) {
	for {
		s.mu.Lock()
		now, err, before := s.schema, s.err, s.before
		s.before = nil
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		given := proto.CloneOf(now)
		next, err := change(given)
		if err != nil {
			return nil, err
		}
		if !proto.Equal(given, now) {
			return nil, errs.Newf(errs.Internal, "the change altered the schema that it was given")
		}
		if next == given {
			return now, nil
		}
		if before != nil {
			before()
		}
		if s.swap(now, next) {
			return proto.CloneOf(next), nil
		}
	}
}

func (s *Store) swap(from, to *storedv1.Schema) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schema != from {
		return false
	}
	to.Version = from.GetVersion() + 1
	s.schema = to
	if !s.lag {
		s.showLocked()
	}
	return true
}

func (s *Store) showLocked() {
	s.seen = schema.NewRegistry(s.schema, s.defaults)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Registry is what the view shows.
func (s *Store) Registry() *schema.Registry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// WaitFor returns once the view has the version.
func (s *Store) WaitFor(ctx context.Context, version uint64) error {
	for {
		s.mu.Lock()
		have, changed := s.seen.Version(), s.changed
		s.mu.Unlock()
		if have >= version {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("schema %d, view at %d: %w", version, have, context.Cause(ctx))
		}
	}
}

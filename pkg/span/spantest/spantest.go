package spantest

import (
	"slices"
	"sync"

	"reprise/pkg/span"
)

// Sink keeps what it takes. The zero value is ready for use.
type Sink struct {
	mu  sync.Mutex
	all []span.Span
}

var _ span.Sink = (*Sink)(nil)

// Take implements span.Sink.
func (s *Sink) Take(x span.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, x)
}

// Taken returns what was taken, in that order.
func (s *Sink) Taken() []span.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

package hosttest

import (
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

// New returns a host with the given clock, random numbers of seed, files in memory and a silent logger.
func New(clock host.Clock, seed uint64) host.Host {
	return host.Host{
		Clock:   clock,
		Rand:    NewRand(seed),
		Log:     slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(),
		FS:      vfs.NewMem(),
	}
}

// Real returns a host with the real clock and disk, a silent logger and random numbers of seed: for
// tests of parts that talk to something which runs on real time, such as etcd.
func Real(seed uint64) host.Host {
	h := host.New(slog.New(slog.DiscardHandler))
	h.Rand = NewRand(seed)
	return h
}

// Rand gives the same numbers for the same seed. It is safe for concurrent use.
type Rand struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

var _ host.Rand = (*Rand)(nil)

// NewRand returns random numbers of seed.
func NewRand(seed uint64) *Rand {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return &Rand{src: rand.NewChaCha8(key)}
}

// Uint64 returns the next number.
func (r *Rand) Uint64() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.Uint64()
}

// Read fills b.
func (r *Rand) Read(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.src.Read(b) // never fails
}

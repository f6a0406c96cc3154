package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"reprise/pkg/id"
	"reprise/pkg/query/scan"
	"reprise/pkg/query/table"
	"reprise/pkg/schema"
)

// ChildArg is the argument that makes a binary a query process: it calls duck.Main.
const ChildArg = "query-process"

// Config bounds an Engine.
type Config struct {
	// Command starts a query process: path and arguments.
	Command []string
	// MemoryBytes is what all statements together may hold in memory (default 1 GiB); each may have its share.
	MemoryBytes int64
	// SpillDir is where the query processes make their folders; default: that of the system for temporary files.
	SpillDir string
	// Threads is how many cores a statement may use (default: all).
	Threads int
	// ConcurrentMax is how many statements run at a time (default 4); more wait.
	ConcurrentMax int
	// QuickTime is how long a statement runs with the priority of the daemon (default 100 ms); then it gives way to whatever
	// else wants a core. 0: at once.
	QuickTime time.Duration
	// WaitMax is how long a statement waits for its turn (default 30 s); then it is refused.
	WaitMax time.Duration
	// RatePerSecond is how many statements are taken over HTTP (default: all); BurstMax of them may come at once.
	RatePerSecond float64
	BurstMax      uint32
	// LeaderWait is how long a scan waits for the leader of a partition that has none at the moment (default 10 s).
	LeaderWait time.Duration
	// IdleMax is how many processes wait for the next statement (default 2), each for at most IdleTimeout (default 30 s).
	IdleMax     int
	IdleTimeout time.Duration
}

// Default returns the defaults for a machine with that many cores.
func Default(cores int) Config {
	return Config{
		MemoryBytes: 1 << 30, Threads: cores, ConcurrentMax: 4, QuickTime: 100 * time.Millisecond, WaitMax: 30 * time.Second, LeaderWait: 10 * time.Second,
		IdleMax: 2, IdleTimeout: 30 * time.Second,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	positive := func(name string, v int64) {
		if v < 1 {
			all = append(all, fmt.Errorf("query: %s is %d; it must be at least 1", name, v))
		}
	}
	if len(c.Command) == 0 {
		all = append(all, errors.New("query: no command that starts a query process"))
	}
	positive("memory", c.MemoryBytes)
	positive("threads", int64(c.Threads))
	positive("concurrent-max", int64(c.ConcurrentMax))
	if c.QuickTime < 0 {
		all = append(all, fmt.Errorf("query: quick-time is %s", c.QuickTime))
	}
	positive("wait-max", int64(c.WaitMax))
	positive("leader-wait", int64(c.LeaderWait))
	if c.RatePerSecond < 0 || c.RatePerSecond > 0 && c.BurstMax < 1 {
		all = append(all, fmt.Errorf("query: %v statements a second, %d at once", c.RatePerSecond, c.BurstMax))
	}
	positive("idle-max", int64(c.IdleMax))
	positive("idle-timeout", int64(c.IdleTimeout))
	return errors.Join(all...)
}

// Partitions reaches the leaders of partitions.
type Partitions interface {
	// Scan emits the rows of p that r wants, until emit returns an error. A batch is given away.
	Scan(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error
}

// Parts is what an Engine reads.
type Parts struct {
	Partitions Partitions
	Count      func() uint32           // of partitions; 0 while it is not known
	Registry   func() *schema.Registry // as it is now
	// Node is the other node that a scan of a partition goes to; 0: it is this one, or not known. May be nil.
	Node func(id.Partition) id.Node
	// Cluster and Chains are what the catalog of the cluster shows; nil: it is empty.
	Cluster func() table.Cluster
	Chains  table.Chains
}

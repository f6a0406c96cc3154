package processor

import (
	"errors"
	"fmt"
	"time"

	"reprise/pkg/memory"
	"reprise/pkg/partitionstore"
	"reprise/pkg/placement"
)

// Config bounds a Node.
type Config struct {
	// Dir holds one folder for each partition.
	Dir string
	// Loops is the number of processor loops; default 1 for up to 4 cores, then one more for every 4.
	Loops int
	// CallsMax is how many new requests of a loop may wait to be committed and applied (default 10000); above, callers
	// are told to retry.
	CallsMax int
	// CallBytesMax bounds their bytes likewise, for each partition (default 64 MiB).
	CallBytesMax int
	// DeliveryBytesMax does so for what other partitions send (default 64 MiB).
	DeliveryBytesMax int
	// RequestBytesMax bounds the bytes of new requests of all partitions together, and as much again of what other partitions send
	// (default 256 MiB).
	RequestBytesMax int
	// BatchCommandsMax is how many commands of one partition are applied in a turn (default 256).
	BatchCommandsMax int
	// InlineReplayBytesMax is the largest journal and state that the loop itself reads for an attempt; larger
	// ones are read lazily by another goroutine (default 64 KiB).
	InlineReplayBytesMax int
	// ReplayBudget is how many commands a process may have applied but not flushed: what a restart must replay
	// (default 60000, about 0.4 s). Lower it to restart faster, raise it to write less.
	ReplayBudget int64
	// ReplaysMax is how many partitions are replayed at a time after a start (default: the number of cores). The
	// first of them answer while the others wait.
	ReplaysMax int
	// ReserveBytes of the disk with the stores: with less than three quarters of it free no new requests are taken.
	// Default 0: 1 GiB, but at most an eighth of the disk. A full disk ends the process.
	ReserveBytes uint64
	// TimerHorizon is how far ahead timers are kept in memory (default 2 minutes): rows are read once for each half of it.
	// 100,000 timers take 6 MiB.
	TimerHorizon time.Duration
	// CleanupInterval is how often a leader looks for completed invocations and journals that were kept long enough
	// (default 1 hour). Lower it if retentions are short and the disk is small.
	CleanupInterval time.Duration
	// ProofTimeout is how long a read waits for log-servers to say that this node still leads, while they take no records
	// (default 2 s). Then its caller is told to retry.
	ProofTimeout time.Duration
	// ImproveInterval is how often a leader looks whether better log-servers can store for its partitions (default 1 s).
	ImproveInterval time.Duration
	// ImproveAfter is how long they must have been better before it moves there (default 5 s): a log-server that restarts
	// is back by then.
	ImproveAfter time.Duration
	// LaneWindow is how many messages to one other partition may be unacknowledged (default 256).
	LaneWindow int
	// LaneBytesMax bounds their bytes likewise (default 8 MiB).
	LaneBytesMax int
	// SnapshotRecords is after how many records a leader makes a snapshot of its partition; SnapshotInterval after how long.
	// Both set: both must be over. None: only who asks gets one.
	SnapshotRecords  uint64
	SnapshotInterval time.Duration
	// SnapshotDelay is how long after a start the first ones are made (default 30 s): there is enough to do then.
	SnapshotDelay time.Duration
	// SnapshotsMax is how many are made at a time (default 4).
	SnapshotsMax int
	// Durability says where the state must be before records are taken off a log; "" chooses by the number of workers.
	// TrimDelay is how much longer they stay (default 10 m), and stores of partitions that are held elsewhere. All are looked
	// at every TrimInterval (30 s), logs first after TrimFirst (1 m).
	Durability              placement.Durability
	TrimDelay               time.Duration
	TrimInterval, TrimFirst time.Duration
	// Memory is the configuration of what divides the memory for new rows over the stores.
	Memory memory.Config
	// Store is the configuration of each partition store. Its memtables are smaller where the share of a store is.
	Store partitionstore.Config
}

// Default returns the defaults for a machine with that many cores.
func Default(cores int) Config {
	return Config{
		Loops:                (cores + 3) / 4,
		CallsMax:             10000,
		CallBytesMax:         64 << 20,
		DeliveryBytesMax:     64 << 20,
		RequestBytesMax:      256 << 20,
		BatchCommandsMax:     256,
		InlineReplayBytesMax: 64 << 10,
		ReplayBudget:         60000,
		ReplaysMax:           cores,
		TimerHorizon:         2 * time.Minute,
		CleanupInterval:      time.Hour,
		ProofTimeout:         2 * time.Second,
		ImproveInterval:      time.Second,
		ImproveAfter:         5 * time.Second,
		LaneWindow:           256,
		LaneBytesMax:         8 << 20,
		SnapshotDelay:        30 * time.Second,
		SnapshotsMax:         4,
		TrimDelay:            10 * time.Minute,
		TrimInterval:         30 * time.Second,
		TrimFirst:            time.Minute,
		Memory:               memory.Default(),
		Store:                partitionstore.Default(),
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	positive := func(name string, v int64) {
		if v < 1 {
			all = append(all, fmt.Errorf("processor: %s is %d; it must be at least 1", name, v))
		}
	}
	if c.Dir == "" {
		all = append(all, errors.New("processor: no folder for the partitions"))
	}
	positive("loops", int64(c.Loops))
	positive("calls-max", int64(c.CallsMax))
	positive("call-bytes-max", int64(c.CallBytesMax))
	positive("delivery-bytes-max", int64(c.DeliveryBytesMax))
	positive("request-bytes-max", int64(c.RequestBytesMax))
	positive("batch-commands-max", int64(c.BatchCommandsMax))
	positive("inline-replay-bytes-max", int64(c.InlineReplayBytesMax))
	positive("replay-budget", c.ReplayBudget)
	positive("replays-max", int64(c.ReplaysMax))
	positive("timer-horizon", int64(c.TimerHorizon))
	positive("cleanup-interval", int64(c.CleanupInterval))
	positive("proof-timeout", int64(c.ProofTimeout))
	positive("improve-interval", int64(c.ImproveInterval))
	positive("improve-after", int64(c.ImproveAfter))
	positive("snapshots-max", int64(c.SnapshotsMax))
	positive("trim-interval", int64(c.TrimInterval))
	positive("lane-window", int64(c.LaneWindow))
	positive("lane-bytes-max", int64(c.LaneBytesMax))
	return errors.Join(all...)
}

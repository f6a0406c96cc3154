package rpc

import (
	"errors"
	"fmt"
	"time"
)

// WorkerConfig bounds what a process exchanges with workers.
type WorkerConfig struct {
	// QueueRequestsMax is how many requests may wait to be sent to one worker (default 10000); above,
	// callers are told to retry.
	QueueRequestsMax int
	// QueueBytesMax bounds their bytes likewise (default 64 MiB).
	QueueBytesMax int
	// FrameBytesMax is the size from which a message takes no further request or answer (default 1 MiB).
	FrameBytesMax int
	// AnswerBytesMax bounds the answers that wait for a caller which does not read; above, its stream
	// is cut (default 128 MiB).
	AnswerBytesMax int
	// HelloTimeout is how long a connection may take until the worker says who it is (default 2 s).
	HelloTimeout time.Duration
}

// DefaultWorker returns the defaults.
func DefaultWorker() WorkerConfig {
	return WorkerConfig{
		QueueRequestsMax: 10000,
		QueueBytesMax:    64 << 20,
		FrameBytesMax:    1 << 20,
		AnswerBytesMax:   128 << 20,
		HelloTimeout:     2 * time.Second,
	}
}

// Validate reports all faults at once.
func (c WorkerConfig) Validate() error {
	var all []error
	positive := func(name string, v int64) {
		if v < 1 {
			all = append(all, fmt.Errorf("rpc: %s is %d; it must be at least 1", name, v))
		}
	}
	positive("queue-requests-max", int64(c.QueueRequestsMax))
	positive("queue-bytes-max", int64(c.QueueBytesMax))
	positive("frame-bytes-max", int64(c.FrameBytesMax))
	positive("answer-bytes-max", int64(c.AnswerBytesMax))
	positive("hello-timeout", int64(c.HelloTimeout))
	return errors.Join(all...)
}

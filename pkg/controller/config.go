package controller

import "time"

// Config of a controller.
type Config struct {
	// Settle is how long the set of present workers must not change before partitions that nobody
	// holds are placed: workers that start together get equal shares. 0 where there is one worker.
	Settle time.Duration
	// Grace is how long a worker may be away and keep its partitions.
	Grace time.Duration
}

// Default is for a cluster.
func Default() Config { return Config{Settle: time.Second, Grace: 10 * time.Minute} }

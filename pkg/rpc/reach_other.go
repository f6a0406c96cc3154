//go:build !linux

package rpc

import (
	"syscall"
	"time"
)

// boundUnacked leaves it to the system how long what was sent may be unacknowledged: only pings end the connection.
func boundUnacked(syscall.RawConn, time.Duration) error { return nil }

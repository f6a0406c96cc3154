package rpc

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacked ends a connection whose other side acknowledges nothing for this long. gRPC does so only to connections that are TCP's own.
func boundUnacked(c syscall.RawConn, limit time.Duration) error {
	if limit == 0 {
		return nil
	}
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit/time.Millisecond))
	})
	if err == nil {
		err = set
	}
	if err != nil {
		return fmt.Errorf("bound what is not acknowledged: %w", err)
	}
	return nil
}

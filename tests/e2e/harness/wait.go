package harness

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// poll is how often Wait asks. What is waited for lies in other processes, which can only be asked.
const poll = 10 * time.Millisecond

// Wait asks until ok returns nil, ctx ends or the limit has passed. The error is then the last answer.
func Wait(ctx context.Context, limit time.Duration, what string, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var last error
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // the last question may only have been cut off by the limit
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, limit, last)
		case <-tick.C:
		}
	}
}

// Ports hands out addresses on loopback. They lie below the range from which systems take the ports
// of outgoing connections, so that a port stays free while its process is down.
type Ports struct{ next atomic.Uint32 }

const (
	portFirst = 12000
	portLast  = 31999
)

// NewPorts starts at a place that depends on seed, so that two test runs rarely meet.
func NewPorts(seed int) *Ports {
	p := &Ports{}
	p.next.Store(uint32(seed) * 97 % (portLast - portFirst))
	return p
}

// Take returns a host:port that is free now and was not handed out before.
func (p *Ports) Take() (string, error) {
	for range portLast - portFirst {
		addr := fmt.Sprintf("127.0.0.1:%d", portFirst+p.next.Add(1)%(portLast-portFirst))
		ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
		if err != nil {
			continue
		}
		return addr, ln.Close()
	}
	return "", fmt.Errorf("no port from %d to %d is free", portFirst, portLast)
}

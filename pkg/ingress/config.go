package ingress

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config bounds an Ingress.
type Config struct {
	// RequestBytesMax is the largest body of a request (default 32 MiB); above, 413.
	RequestBytesMax int64
	// RequestsMax is how many requests may be in flight, those that wait included; above, 429. 0 (default) is no limit.
	RequestsMax int64
	// StreamsMax is how many HTTP/2 streams one connection may have open (default 200).
	StreamsMax int
	// NetHTTPOnly leaves all requests to net/http (default false: plain ones cost a fraction of that). It is for
	// comparing the two.
	NetHTTPOnly bool
	// DrainTimeout is how long requests in flight may still take at shutdown (default 5 s).
	DrainTimeout time.Duration
}

// Default returns the defaults.
func Default() Config {
	return Config{RequestBytesMax: 32 << 20, StreamsMax: 200, DrainTimeout: 5 * time.Second}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	if c.RequestBytesMax < 1 || c.RequestBytesMax > math.MaxInt32 {
		all = append(all, fmt.Errorf("ingress: request-size-limit is %d bytes; it must be between 1 byte and 2 GiB", c.RequestBytesMax))
	}
	if c.RequestsMax < 0 {
		all = append(all, fmt.Errorf("ingress: concurrent-api-requests-limit is %d; it must not be negative", c.RequestsMax))
	}
	if c.StreamsMax < 1 || c.StreamsMax > math.MaxInt32 {
		all = append(all, fmt.Errorf("ingress: http2-max-concurrent-streams is %d; it must be at least 1", c.StreamsMax))
	}
	if c.DrainTimeout < 0 {
		all = append(all, fmt.Errorf("ingress: drain timeout is %s; it must not be negative", c.DrainTimeout))
	}
	return errors.Join(all...)
}

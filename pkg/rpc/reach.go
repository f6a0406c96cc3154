package rpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"time"

	"reprise/pkg/certs"
	"reprise/pkg/errs"
)

// reach connects to daemons, with TLS if they and this process have it. gRPC inside of it knows nothing of that.
type reach struct {
	tls        *certs.Mutual               // nil: none
	url        func(address string) string // what the one at host:port says of itself
	unackedMax time.Duration               // how long what was sent may be unacknowledged; 0: as the system has it
	// tries: what url says was written by a person, perhaps before there was TLS. Where TLS is optional it is tried, and then plain.
	tries bool
}

// dial connects to host:port.
func (r *reach) dial(ctx context.Context, address string) (net.Conn, error) {
	says := strings.HasPrefix(r.url(address), "https://")
	switch {
	case r.tls == nil:
		return r.connect(ctx, address)
	case r.tls.Strict() && !says && !r.tries:
		return nil, errs.Newf(errs.Unavailable, "%s speaks no TLS, and networking.tls.mode is strict here", address)
	case !says && !r.tries:
		return r.connect(ctx, address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := r.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	secure, err := r.tls.Client(ctx, conn, host)
	if err == nil || r.tls.Strict() || !r.tries {
		return secure, err
	}
	plain, errPlain := r.connect(ctx, address)
	if errPlain != nil {
		return nil, errors.Join(err, errPlain)
	}
	return plain, nil
}

func (r *reach) connect(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return boundUnacked(c, r.unackedMax) }}
	return dialer.DialContext(ctx, "tcp", address)
}

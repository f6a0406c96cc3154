package rpc

import (
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/certs"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/retry"
)

const (
	messageBytesMax = 64 << 20 // a frame of the log writer and one group above it; a record has at most 33 MiB
	// pingAfter is after what silence a peer is asked whether it is there: the least that gRPC takes.
	pingAfter = 10 * time.Second
)

// PeersConfig says how other daemons are connected to.
type PeersConfig struct {
	ConnectTimeout time.Duration // for a connection; default 1 s
	// UnackedMax is how long an answer to a ping may take, and how long the peer's machine may take to acknowledge what was sent:
	// a connection through a network that lost it ends before the network is back, and not minutes later. Default 3 s.
	UnackedMax  time.Duration
	WindowBytes int           // of a stream: a frame goes out without waiting for the other side; default 8 MiB
	TLS         *certs.Mutual // towards daemons that say that they have it; nil: none
	Retry       retry.Policy  // pauses before a daemon is connected to again; default 20 ms, times 1.6, up to 1 s
}

// DefaultPeers returns the defaults.
func DefaultPeers() PeersConfig {
	return PeersConfig{
		ConnectTimeout: time.Second, UnackedMax: 3 * time.Second, WindowBytes: 8 << 20,
		Retry: retry.Policy{Initial: 20 * time.Millisecond, Factor: 1.6, Max: time.Second},
	}
}

// FabricServerOptions are for the gRPC server of a fabric port; ServerOptions are among them.
func FabricServerOptions() []grpc.ServerOption {
	window := int32(DefaultPeers().WindowBytes)
	return append(ServerOptions(), grpc.MaxRecvMsgSize(messageBytesMax), grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(2*window))
}

// LogPeers has one connection to each daemon of the cluster, made when it is first asked for. It is safe
// for concurrent use.
type LogPeers struct {
	cfg    PeersConfig
	nodes  func() []*storedv1.Node
	counts *connections

	mu      sync.Mutex
	conns   map[string]*grpc.ClientConn // by address
	dialled map[string]*dialled
	closed  bool
}

// NewLogPeers returns the connections to the nodes that the metadata knows when one is asked for, with the defaults.
func NewLogPeers(nodes func() []*storedv1.Node) *LogPeers { return NewPeers(DefaultPeers(), nodes) }

// NewPeers returns the connections to the nodes that the metadata knows when one is asked for.
func NewPeers(cfg PeersConfig, nodes func() []*storedv1.Node) *LogPeers {
	return &LogPeers{
		cfg: cfg, nodes: nodes, counts: newConnections(prometheus.NewRegistry()), // nobody sees them
		conns: map[string]*grpc.ClientConn{}, dialled: map[string]*dialled{},
	}
}

// Measure shows the connections among the metrics of the process. Call it before any is made.
func (p *LogPeers) Measure(h host.Host) {
	p.counts = newConnections(h.Metrics)
}

// Conn returns the connection to a node, connected or not.
func (p *LogPeers) Conn(n id.Node) (*grpc.ClientConn, error) {
	var text string
	for _, node := range p.nodes() {
		if id.Node(node.Id) == n {
			text = node.Address
		}
	}
	if text == "" {
		return nil, errs.Newf(errs.Unavailable, "node %s is not known", n)
	}
	address, err := hostPort(text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errs.Newf(errs.Unavailable, "the process stops")
	}
	if c := p.conns[address]; c != nil {
		return c, nil
	}
	d := &dialled{counts: p.counts, reach: &reach{tls: p.cfg.TLS, unackedMax: p.cfg.UnackedMax, url: p.urlAt}}
	opts := append(DialOptions(), grpc.WithContextDialer(d.dial), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageBytesMax)),
		grpc.WithInitialWindowSize(int32(p.cfg.WindowBytes)), grpc.WithInitialConnWindowSize(2*int32(p.cfg.WindowBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: p.cfg.UnackedMax, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoffOf(p.cfg.Retry), MinConnectTimeout: p.cfg.ConnectTimeout}))
	c, err := grpc.NewClient("passthrough:///"+address, opts...)
	if err != nil {
		return nil, fmt.Errorf("connection to %s: %w", n, err)
	}
	p.conns[address], p.dialled[address] = c, d
	return c, nil
}

// retryMin is the least pause before a daemon is connected to again: a policy of zeros must not spin.
const retryMin = 10 * time.Millisecond

// backoffOf is the policy as gRPC takes it: it goes on for as long as somebody wants the connection.
func backoffOf(r retry.Policy) backoff.Config {
	first := max(r.Initial, retryMin)
	return backoff.Config{BaseDelay: first, Multiplier: max(r.Factor, 1), Jitter: 0.2, MaxDelay: max(r.Max, first)}
}

// hostPort reads host:port or a fabric URL.
func hostPort(text string) (string, error) {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
		if u.Port() == "" {
			return u.Hostname() + ":5122", nil
		}
		return u.Host, nil
	}
	if u, err = url.Parse("http://" + text); err != nil || u.Port() == "" {
		return "", errs.Newf(errs.Invalid, "address %q is no host:port and no http URL", text)
	}
	return u.Host, nil
}

// urlAt is what the node at host:port tells others now: that a process has TLS may change when it is started again.
func (p *LogPeers) urlAt(address string) string {
	for _, node := range p.nodes() {
		if at, err := hostPort(node.Address); err == nil && at == address {
			return node.Address
		}
	}
	return ""
}

// Close ends all connections.
func (p *LogPeers) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var first error
	for _, c := range p.conns {
		if err := c.Close(); first == nil {
			first = err
		}
	}
	for _, d := range p.dialled {
		d.ended()
	}
	clear(p.conns)
	return first
}

package metastore

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
)

// Secure is TLS of a member. Its listeners are ours then: those of etcd take either TLS or none, and a cluster that is moved has both.
type Secure struct {
	Cert, Key, CA string // files that are shown to other members. etcd reads the first two for each connection, the last when it starts
	ServerName    string // that other members have in their certificates; "": that of their URL
	// Listener decides which connections are let in.
	Listener func(net.Listener) net.Listener
	Dial     Dialer // for questions to other members
}

const (
	// peerReadTimeout is that of etcd for what a peer sends.
	peerReadTimeout = 5 * time.Minute
	// clientsDrain is how long answers may take when the member stops.
	clientsDrain = 2 * time.Second
	// tellPause is waited before other members are told again where this one is, and tellTry is how long that may take.
	tellPause, tellTry = time.Second, 5 * time.Second
)

// doors are the listeners of a member with TLS; nil: there are none. Clients come in once it is ready.
type doors struct {
	peer, client net.Listener
	peers        *http.Server
	clients      *grpc.Server
	g            *lifecycle.Group
	failed       chan error // one slot for each server
}

func openDoors(ctx context.Context, cfg EmbedConfig) (*doors, error) {
	if cfg.Secure == nil || cfg.ListenPeer == "" {
		return nil, nil //nolint:nilnil // nil has no listeners
	}
	var lc net.ListenConfig
	peer, err := lc.Listen(ctx, "tcp", cfg.ListenPeer)
	if err != nil {
		return nil, err
	}
	client, err := lc.Listen(ctx, "tcp", cfg.ListenClient)
	if err != nil {
		return nil, errors.Join(err, peer.Close())
	}
	return &doors{
		peer: cfg.Secure.Listener(peer), client: cfg.Secure.Listener(client), failed: make(chan error, 2),
		g: lifecycle.NewGroup(context.WithoutCancel(ctx)),
	}, nil
}

// servePeers does what etcd does for its own listeners.
func (d *doors) servePeers(e *embed.Etcd) {
	if d == nil {
		return
	}
	d.peers = &http.Server{
		Handler: etcdhttp.NewPeerHandler(e.GetLogger(), e.Server), ReadTimeout: peerReadTimeout,
		ErrorLog: log.New(io.Discard, "", 0), // of what others do wrong
	}
	d.g.Go("etcd peers", func(context.Context) error {
		if err := d.peers.Serve(d.peer); !errors.Is(err, http.ErrServerClosed) {
			d.failed <- err
		}
		return nil
	})
}

// serveClients does what etcd does for its own listeners, but for HTTP.
func (d *doors) serveClients(e *embed.Etcd) {
	if d == nil {
		return
	}
	cfg := e.Config()
	opts := append([]grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: cfg.GRPCKeepAliveMinTime}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: cfg.GRPCKeepAliveInterval, Timeout: cfg.GRPCKeepAliveTimeout}),
	}, cfg.GRPCAdditionalServerOptions...)
	d.clients = v3rpc.Server(e.Server, nil, nil, opts...)
	d.g.Go("etcd clients", func(context.Context) error {
		if err := d.clients.Serve(d.client); err != nil {
			d.failed <- err
		}
		return nil
	})
}

// failures has what ended a server that nobody stopped.
func (d *doors) failures() <-chan error {
	if d == nil {
		return nil
	}
	return d.failed
}

// closeClients answers what was asked, for a short time.
func (d *doors) closeClients(clock host.Clock) {
	if d == nil || d.clients == nil {
		return
	}
	drained := make(chan struct{})
	d.g.Go("drain etcd clients", func(context.Context) error {
		defer close(drained)
		d.clients.GracefulStop()
		return nil
	})
	timer := clock.NewTimer(clientsDrain)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C():
		d.clients.Stop() // ends GracefulStop too
	}
}

func (d *doors) close() {
	if d == nil {
		return
	}
	if d.clients != nil {
		d.clients.Stop()
	}
	if d.peers != nil {
		_ = d.peers.Close() // what peers still send comes to nobody
	}
	_, _ = d.peer.Close(), d.client.Close() // closed already, if they were served
	_ = d.g.Wait()                          // its goroutines return no error
}

// IsAt tells whether a member is at a peer URL, whatever its scheme.
func (m Member) IsAt(peerURL string) bool {
	return slices.ContainsFunc(m.PeerURLs, func(u string) bool { return place(u) == place(peerURL) })
}

// tellPeerURLs tells the other members with which schemes they find this one from now on. It returns once they know: a cluster goes from
// plain connections to TLS while each member has both.
func (e *Embedded) tellPeerURLs(ctx context.Context) error {
	timer := e.clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		if e.tellPeerURLsOnce(ctx) == nil {
			return nil
		}
		timer.Reset(tellPause) // there is no quorum, or it learns
	}
}

func (e *Embedded) tellPeerURLsOnce(ctx context.Context) error {
	if len(e.told) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellTry)
	defer cancel()
	all, err := e.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return err
	}
	for _, m := range all.Members {
		if m.ID != e.ID() {
			continue
		}
		if want := withSchemes(m.PeerURLs, e.told); !slices.Equal(want, slices.Sorted(slices.Values(m.PeerURLs))) {
			_, err = e.client.MemberUpdate(ctx, m.ID, want)
		}
	}
	return err
}

// withSchemes are the same places with these schemes, in order.
func withSchemes(urls, schemes []string) []string {
	var out []string
	for _, u := range urls {
		for _, s := range schemes {
			if n := s + "://" + place(u); strings.Contains(u, "://") && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return out
}

package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	clusterv1 "reprise/api/cluster/v1"
	logv1 "reprise/api/log/v1"
	"reprise/pkg/certs"
	"reprise/pkg/guest"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
)

// FabricConfig of a daemon's fabric port.
type FabricConfig struct {
	KeepAlive        time.Duration // ping a silent peer
	KeepAliveTimeout time.Duration // and cut it
	Metrics          http.Handler  // nil: no /metrics
	Bundle           http.Handler  // nil: no /debug/bundle
	Pprof            bool          // serve /debug/pprof
	Flame            http.Handler  // of GET /debug/heap/flamegraph; nil: there is none
	TLS              *certs.Mutual // between daemons; nil: none
	OpenMetrics      bool          // answer GET /metrics also where TLS is strict and the client shows no certificate
	WindowBytes      int           // of a stream; 0: that of DefaultPeers
	Drain            time.Duration // calls may end within this time; 0: 2 s
}

const (
	// defaultDrain is short: an exchange between daemons ends by itself only once others lead.
	defaultDrain = 2 * time.Second
	// streamsMax is how many calls one peer may have open.
	streamsMax = 4096
	// pingMin is the least pause between a client's pings.
	pingMin      = 500 * time.Millisecond
	httpTimeout  = 10 * time.Second // for a request's header
	idleTimeout  = 2 * time.Minute
	healthBytes  = "application/json"
	bytesPerPipe = 64 << 10
)

// Fabric serves gRPC and HTTP/1 on one port. It is the last part to start and the first to stop.
type Fabric struct {
	cfg    FabricConfig
	ports  *portSwitch
	grpc   *grpc.Server
	http   *http.Server
	guests *guest.Book
	ready  chan struct{}
	status *NodeStatus
}

var _ lifecycle.Readier = (*Fabric)(nil)

// NewFabric returns a server on a listener, which it will close. Register services on GRPC before Run.
func NewFabric(cfg FabricConfig, ln net.Listener, status *NodeStatus, h host.Host) *Fabric {
	// What these are about is said again to the next one that is asked, or to nobody.
	guests := guest.NewBook(clusterv1.ControlService_Attend_FullMethodName, logv1.LogServer_Store_FullMethodName, logv1.LogServer_WaitForTail_FullMethodName)
	opts := append(FabricServerOptions(),
		grpc.MaxConcurrentStreams(streamsMax),
		grpc.ReadBufferSize(bytesPerPipe),
		grpc.WriteBufferSize(bytesPerPipe),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: cfg.KeepAlive, Timeout: cfg.KeepAliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingMin, PermitWithoutStream: true}),
	)
	if n := int32(cfg.WindowBytes); n > 0 {
		opts = append(opts, grpc.InitialWindowSize(n), grpc.InitialConnWindowSize(2*n))
	}
	opts = append(opts, guests.Options()...)
	f := &Fabric{cfg: cfg, ports: newPortSwitch(ln, cfg.TLS, h), grpc: grpc.NewServer(opts...), guests: guests, ready: make(chan struct{}), status: status}
	f.http = &http.Server{Handler: f.guarded(f.mux()), ReadHeaderTimeout: httpTimeout, IdleTimeout: idleTimeout, ConnContext: withConn}
	clusterv1.RegisterNodeServiceServer(f.grpc, status)
	reflection.Register(f.grpc)
	return f
}

// GRPC is where services are registered.
func (f *Fabric) GRPC() grpc.ServiceRegistrar { return f.grpc }

// Ready is closed when connections are taken.
func (f *Fabric) Ready() <-chan struct{} { return f.ready }

// Run serves until ctx ends, then shows guests out and lets other calls end for a short time.
func (f *Fabric) Run(ctx context.Context) error {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	g := lifecycle.NewGroup(life)
	g.Go("fabric port", f.ports.Run)
	g.Go("fabric grpc", func(context.Context) error {
		if err := f.grpc.Serve(f.ports.grpc); !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	})
	g.Go("fabric http", func(context.Context) error {
		if err := f.http.Serve(f.ports.http); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go("fabric stop", func(gctx context.Context) error {
		select {
		case <-ctx.Done():
		case <-gctx.Done():
		}
		f.stop(context.WithoutCancel(ctx))
		end(lifecycle.ErrStopped) // the port, which the others have let go of
		return nil
	})
	close(f.ready)
	return g.Wait()
}

func (f *Fabric) stop(ctx context.Context) {
	drain := f.cfg.Drain
	if drain == 0 {
		drain = defaultDrain
	}
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	f.guests.ShowOut()
	g := lifecycle.NewGroup(ctx)
	g.Go("drain", func(context.Context) error {
		f.grpc.GracefulStop()
		return nil
	})
	if err := f.http.Shutdown(ctx); err != nil {
		_ = f.http.Close() // what is left has had its time
	}
	drained := context.AfterFunc(ctx, f.grpc.Stop) // ends GracefulStop too
	_ = g.Wait()                                   // its goroutine returns no error
	drained()
}

func (f *Fabric) mux() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /health", f.health)
	if f.cfg.Metrics != nil {
		m.Handle("GET /metrics", f.cfg.Metrics)
	}
	if f.cfg.Bundle != nil {
		m.Handle("GET /debug/bundle", f.cfg.Bundle)
	}
	if f.cfg.Flame != nil {
		m.Handle("GET /debug/heap/flamegraph", f.cfg.Flame)
	}
	if f.cfg.Pprof {
		m.HandleFunc("/debug/pprof/", pprof.Index)
		m.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		m.HandleFunc("/debug/pprof/profile", pprof.Profile)
		m.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		m.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return m
}

// connKey is that of the connection of a request.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	if r, ok := c.(*readConn); ok && r.guarded != nil {
		return context.WithValue(ctx, connKey{}, r.guarded)
	}
	return ctx
}

// guarded answers nothing but the health to whom strict TLS keeps out, and does not read what else they send.
func (f *Fabric) guarded(next http.Handler) http.Handler {
	if !f.cfg.TLS.Strict() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*certs.Conn)
		open := r.Method == http.MethodGet && (r.URL.Path == "/health" || f.cfg.OpenMetrics && r.URL.Path == "/metrics")
		if open || ok && c.Standing() == certs.Known {
			next.ServeHTTP(w, r)
			return
		}
		if ok {
			c.Refuse()
		}
		w.Header().Set("connection", "close")
		http.Error(w, "this port asks for TLS with a certificate that networking.tls.ca signed", http.StatusForbidden)
	})
}

// Health is the body of GET /health.
type Health struct {
	Status      string   `json:"status"` // Alive, Starting, Stopping
	NodeID      string   `json:"node_id,omitempty"`
	NodeName    string   `json:"node_name"`
	ClusterName string   `json:"cluster_name"`
	Roles       []string `json:"roles"`
	Version     string   `json:"version"`
}

func (f *Fabric) health(w http.ResponseWriter, _ *http.Request) {
	body := f.status.Health()
	w.Header().Set("content-type", healthBytes)
	if body.Status != statusAlive {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the peer is gone
}

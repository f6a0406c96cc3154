package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"reprise/pkg/access"
	"reprise/pkg/certs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/registry"
)

// Config says where and how the API is served.
type Config struct {
	Address               string         // host:port to listen on; default 0.0.0.0:9070
	Listener              net.Listener   // serve on this in place of Address; the server closes it
	IngressEndpoint       func() string  // URL of the ingress that clients are told; nil or "" tells none
	ConcurrentRequestsMax int            // more are refused with 429; 0 (default) means no limit
	Query                 http.Handler   // answers POST /query; nil: no SQL here
	Health                ClusterHealth  // nil: nobody knows
	Tokens                *access.Tokens // say who may do what, and are followed; nil: everybody everything
	Certs                 *certs.Certs   // likewise; nil: no TLS
	DisableWebUI          bool           // answer 404 at /ui
	DrainTimeout          time.Duration  // how long requests may go on after a stop; default 5 s
}

// ClusterHealth tells the name of the cluster and which nodes keep its metadata; ok is false before there is a
// cluster.
type ClusterHealth func() (name string, members []uint32, ok bool)

// Default is the configuration of a server that is told nothing.
func Default() Config {
	return Config{Address: "0.0.0.0:9070", DrainTimeout: 5 * time.Second}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		all = append(all, fmt.Errorf("admin address %q: %w", c.Address, err))
	}
	if c.ConcurrentRequestsMax < 0 {
		all = append(all, fmt.Errorf("admin concurrent requests: %d is negative", c.ConcurrentRequestsMax))
	}
	if c.DrainTimeout <= 0 {
		all = append(all, fmt.Errorf("admin drain timeout: %s is not positive", c.DrainTimeout))
	}
	return errors.Join(all...)
}

const (
	headerTimeout  = 10 * time.Second // until a request's headers are in
	idleTimeout    = 5 * time.Minute
	headerBytesMax = 64 << 10
	streamsPerConn = 128
	// Below this nothing is compressed. The contract's number: a client that asks for compression gets it.
	compressBytesMin = 32
	adminVersionMin  = 2
	adminVersionMax  = 4
)

// Server serves the admin API. It is a part of the admin role.
type Server struct {
	cfg     Config
	h       host.Host
	routes  routes
	handler http.Handler
	ready   chan struct{}
	places  places

	mu   sync.Mutex
	addr net.Addr // set once it listens
}

// New builds the server over the registry and the partitions; it starts nothing.
func New(cfg Config, reg *registry.Registrar, parts Partitions, h host.Host) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, h: h, ready: make(chan struct{})}
	s.SetConcurrentRequestsMax(cfg.ConcurrentRequestsMax)
	var err error
	if s.routes, err = newRoutes(); err != nil {
		return nil, err
	}
	if s.handler, err = s.newFront(reg, &operator{parts: parts, schema: reg.Current, host: h}); err != nil {
		return nil, err
	}
	return s, nil
}

// SetConcurrentRequestsMax replaces that of the configuration.
func (s *Server) SetConcurrentRequestsMax(n int) { s.places.most.Store(int64(n)) }

// Handler serves requests, also without Run.
func (s *Server) Handler() http.Handler { return s.handler }

// Ready is closed once the server listens.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is where the server listens; nil before it is ready.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Run listens and serves until ctx ends, then drains.
func (s *Server) Run(ctx context.Context) error {
	ln := s.cfg.Listener
	if ln == nil {
		var lc net.ListenConfig
		var err error
		if ln, err = lc.Listen(ctx, "tcp", s.cfg.Address); err != nil {
			return fmt.Errorf("admin API: %w: choose another admin.bind-port or admin.bind-ip", err)
		}
	}
	s.mu.Lock()
	s.addr = ln.Addr()
	s.mu.Unlock()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           s.handler,
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: streamsPerConn},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
	}
	g := lifecycle.NewGroup(ctx)
	if c := s.cfg.Certs; c != nil {
		ln = tls.NewListener(ln, c.Server())
		g.Go("certificate", c.Run)
	}
	if t := s.cfg.Tokens; t != nil {
		g.Go("tokens", t.Run)
	}
	g.Go("serve admin API", func(context.Context) error {
		close(s.ready)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go("stop admin API", func(gctx context.Context) error {
		<-gctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(gctx), s.cfg.DrainTimeout)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			return srv.Close() // the clients that are left had their time
		}
		return nil
	})
	return g.Wait()
}

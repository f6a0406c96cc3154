package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	wire "github.com/jeroenrinzema/psql-wire"

	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/query"
	"reprise/pkg/query/pipe"
	"reprise/pkg/query/table"
)

// Engine answers statements.
type Engine interface {
	Ask(ctx context.Context, d query.Dialect, sql string) (*query.Rows, error)
	Describe(ctx context.Context, d query.Dialect, sql string) (pipe.Description, error)
}

// Config bounds a Server.
type Config struct {
	// ConnectionsMax is how many clients are connected at a time (default 64); more are turned away.
	ConnectionsMax int
}

// Default returns the defaults.
func Default() Config { return Config{ConnectionsMax: 64} }

// Server serves the protocol on a listener.
type Server struct {
	cfg    Config
	engine Engine
	host   host.Host
	ln     net.Listener
	wire   *wire.Server
	ready  chan struct{}

	// mu guards what follows. It is a leaf.
	mu    sync.Mutex
	group *lifecycle.Group // of what reads from connections; nil unless Run runs
	conns map[string]*conn // by the client's address
	last  int32            // number of a connection
}

var _ lifecycle.Readier = (*Server)(nil)

// New returns a Server on a listener, which Run closes.
func New(cfg Config, ln net.Listener, e Engine, h host.Host) (*Server, error) {
	if cfg.ConnectionsMax < 1 {
		return nil, fmt.Errorf("postgres: %d connections at a time", cfg.ConnectionsMax)
	}
	s := &Server{cfg: cfg, engine: e, host: h, ln: ln, ready: make(chan struct{}), conns: map[string]*conn{}}
	var err error
	s.wire, err = wire.NewServer(s.parse,
		wire.Logger(slog.New(quiet{h.Log.Handler()})), wire.Version(table.PostgresVersion), wire.ExtendTypes(extendTypes),
		wire.GlobalParameters(wire.Parameters{"TimeZone": "UTC", "DateStyle": "ISO, MDY", "IntervalStyle": "postgres", "standard_conforming_strings": "on", "integer_datetimes": "on"}),
		wire.BackendKeyData(s.keyOf), wire.CancelRequest(s.cancel), wire.TxStatus(s.status), wire.CloseConn(s.closed), wire.TerminateConn(func(context.Context) error { return nil }),
	)
	return s, err
}

// Ready is closed when connections are taken.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	group := lifecycle.NewGroup(life)
	group.Go("postgres port", func(context.Context) error {
		s.setGroup(group) // readers may join while this goroutine lives
		close(s.ready)
		err := s.wire.Serve(listener{s})
		s.setGroup(nil)
		return err
	})
	group.Go("postgres stop", func(gctx context.Context) error {
		select {
		case <-ctx.Done():
		case <-gctx.Done():
		}
		for _, c := range s.all() {
			c.end(errStopping)
		}
		err := s.wire.Close()
		for _, c := range s.all() { // those that came in between
			c.end(errStopping)
		}
		s.wire.Wait()
		end(lifecycle.ErrStopped)
		return err
	})
	return group.Wait()
}

var errStopping = errors.New("the server is stopping")

func (s *Server) setGroup(g *lifecycle.Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.group = g
}

func (s *Server) all() (out []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		out = append(out, c)
	}
	return out
}

// connOf is the connection that a call of the protocol's library is about.
func (s *Server) connOf(ctx context.Context) *conn {
	at := wire.RemoteAddress(ctx)
	if at == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[at.String()]
}

// keyOf is what a client names when it cancels a statement, over another connection.
func (s *Server) keyOf(ctx context.Context) (process, secret int32) {
	if c := s.connOf(ctx); c != nil {
		return c.number, c.secret
	}
	return 0, 0
}

func (s *Server) cancel(_ context.Context, process, secret int32) error {
	for _, c := range s.all() {
		if c.number == process && c.secret == secret {
			c.interrupt(errCancelled)
		}
	}
	return nil
}

var errCancelled = errors.New("canceling statement due to user request")

// closed is called when a connection has ended.
func (s *Server) closed(ctx context.Context) error {
	if c := s.connOf(ctx); c != nil {
		c.end(net.ErrClosed)
	}
	return nil
}

// quiet has the library tell of clients, and of their errors, only to those who look for it.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

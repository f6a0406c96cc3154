// Command bench-services is the service endpoint that the load generator
// invokes through a server under test.
//
// It offers the same handlers twice: written with the Go SDK (default), or
// with a minimal hand-written implementation of the service protocol (-lean),
// which costs a fraction of the CPU and so leaves the machine to the server.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"reprise/tests/load/internal/lean"
	"reprise/tests/load/internal/procfs"

	"github.com/restatedev/sdk-go/server"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9080", "address of the service endpoint")
	control := flag.String("control", "127.0.0.1:9081", "address of the control and statistics endpoint")
	leanMode := flag.Bool("lean", false, "serve with the minimal protocol implementation instead of the SDK")
	verbose := flag.Bool("v", false, "log SDK messages")
	flag.Parse()

	level := slog.LevelError
	if *verbose {
		level = slog.LevelInfo
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))

	var h http.Handler
	if *leanMode {
		h = lean.Handler(lean.Hooks{Started: &hub.started, Completed: &hub.completed})
	} else {
		hf, err := bind(server.NewRestate()).Handler()
		if err != nil {
			fatal(err)
		}
		h = hf
	}

	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		fatal(err)
	}
	conns := &connTracker{open: map[net.Conn]struct{}{}}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:   h,
		Protocols: &protocols,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 2000},
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		st := hub.snapshot()
		if u, err := procfs.Read(os.Getpid()); err == nil {
			st.RSS = u.RSS
		}
		st.Conns = conns.count()
		_ = json.NewEncoder(w).Encode(st)
	})
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) { hub.reset() })
	mux.HandleFunc("POST /kill-conns", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d\n", conns.killAll())
	})
	mux.HandleFunc("POST /gate/{state}", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("state") {
		case "open":
			hub.openGate()
		case "close":
			hub.closeGate()
		default:
			http.Error(w, "open or close", http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /awakeables", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(hub.takeAwakeables())
	})
	mux.Handle("/debug/pprof/", http.DefaultServeMux)
	go func() {
		if err := http.ListenAndServe(*control, mux); err != nil {
			fatal(err)
		}
	}()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		srv.Close()
	}()
	fmt.Fprintf(os.Stderr, "bench-services: listening on %s, control on %s, lean=%v\n", *listen, *control, *leanMode)
	if err := srv.Serve(&trackingListener{Listener: ln, t: conns}); err != nil && err != http.ErrServerClosed {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench-services:", err)
	os.Exit(1)
}

// trackingListener remembers accepted connections so that they can be cut on
// request, which is how the load generator breaks running invocations.
type trackingListener struct {
	net.Listener
	t *connTracker
}

func (l *trackingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.t.add(c)
	return &trackedConn{Conn: c, t: l.t}, nil
}

type trackedConn struct {
	net.Conn
	t *connTracker
}

func (c *trackedConn) Close() error {
	c.t.remove(c.Conn)
	return c.Conn.Close()
}

type connTracker struct {
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func (t *connTracker) add(c net.Conn)    { t.mu.Lock(); t.open[c] = struct{}{}; t.mu.Unlock() }
func (t *connTracker) remove(c net.Conn) { t.mu.Lock(); delete(t.open, c); t.mu.Unlock() }
func (t *connTracker) count() int        { t.mu.Lock(); defer t.mu.Unlock(); return len(t.open) }

func (t *connTracker) killAll() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.open)
	for c := range t.open {
		if tc, ok := c.(*net.TCPConn); ok {
			_ = tc.SetLinger(0)
		}
		_ = c.Close()
		delete(t.open, c)
	}
	return n
}

var startTime = time.Now()

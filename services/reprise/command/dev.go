package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"reprise/pkg/lifecycle"
	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

const (
	serverProgram = "reprise-standalone"
	readyEvery    = 50 * time.Millisecond // how often a server that starts is asked whether it is ready
	stopWithin    = 20 * time.Second      // from SIGTERM to SIGKILL
)

func (r *runner) dev() *cli.Command {
	return &cli.Command{
		Name: "dev", Aliases: []string{"up"}, Usage: "run a server with temporary data until interrupted",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "deployment", Aliases: []string{"d"}, Usage: "`URL` to register, and again whenever its services change; may be repeated"},
			&cli.BoolFlag{Name: "use-random-ports", Aliases: []string{"r"}, Usage: "listen on any free ports"},
			&cli.BoolFlag{Name: "use-unix-sockets", Aliases: []string{"u"}, Usage: "refused: the server has no unix sockets"},
			&cli.BoolFlag{Name: "retain", Usage: "keep the data at the end"},
		},
		Action: r.runDev,
	}
}

// devServer is a server that runs as a child, and where it listens.
type devServer struct {
	*runner
	program     string
	dir         string // of its data
	listen      devPorts
	ready       chan struct{} // closed by Run
	admin       string        // its URL
	stopsWithin time.Duration
}

// devPorts are host:port of a server's listeners.
type devPorts struct{ ingress, admin, node string }

func (r *runner) runDev(c *cli.Context) (err error) {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Bool("use-unix-sockets") {
		return argv.Usagef("--use-unix-sockets: the server has no unix sockets; --use-random-ports keeps out of the way, too")
	}
	endpoints := make([]*devEndpoint, 0, len(c.StringSlice("deployment")))
	for _, target := range c.StringSlice("deployment") {
		u, err := deploymentURL(target)
		if err != nil {
			return err
		}
		endpoints = append(endpoints, &devEndpoint{url: u})
	}
	if err := r.begin(c); err != nil {
		return err
	}
	s := &devServer{runner: r, ready: make(chan struct{}), stopsWithin: stopWithin}
	if s.program, err = r.findServer(); err != nil {
		return err
	}
	if s.listen, err = r.devPorts(c.Context, c.Bool("use-random-ports")); err != nil {
		return err
	}
	s.admin = urlOf(s.listen.admin)
	if s.dir, err = os.MkdirTemp("", "reprise-dev-"); err != nil {
		return fmt.Errorf("data of the server: %w", err)
	}
	defer func() { err = errors.Join(err, s.clean(c.Bool("retain"))) }()
	r.env.Err = &sharedWriter{to: r.env.Err} // the server writes there, too
	r.settings = settings{Environment: "dev", Admin: s.admin, Ingress: urlOf(s.listen.ingress)}
	w := devWatch{runner: r, endpoints: endpoints}
	greet := lifecycle.Func(func(ctx context.Context) error {
		s.greet(len(endpoints))
		r.client = newClient(r.settings, r.connection(c))
		if err := r.client.handshake(ctx, r.warn); err != nil {
			return err
		}
		return w.run(ctx)
	})
	err = lifecycle.Run(c.Context, s, greet)
	if c.Context.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // an interrupt is how it ends
	}
	return err
}

// findServer finds the server's program beside this one, else where programs are.
func (r *runner) findServer() (string, error) {
	beside := filepath.Join(r.env.Programs, serverProgram)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	found, err := exec.LookPath(serverProgram)
	if err != nil {
		return "", hint(fmt.Errorf("%s is neither in %s nor in PATH", serverProgram, r.env.Programs), "'make build' builds it beside this program.")
	}
	return found, nil
}

// devPorts are the usual ones on the loopback interface, what the environment says, or any that are free.
func (r *runner) devPorts(ctx context.Context, random bool) (p devPorts, err error) {
	for _, l := range []struct {
		to       *string
		variable string
		usual    string
	}{
		{&p.ingress, "RESTATE_INGRESS__BIND_ADDRESS", "127.0.0.1:8080"},
		{&p.admin, "RESTATE_ADMIN__BIND_ADDRESS", "127.0.0.1:9070"},
		{&p.node, "RESTATE_BIND_ADDRESS", "127.0.0.1:5122"},
	} {
		if *l.to = r.vars.get(l.variable); *l.to == "" {
			*l.to = l.usual
		}
		if !random {
			continue
		}
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return p, fmt.Errorf("free port: %w", err)
		}
		defer func() { _ = ln.Close() }() // held until all ports are known, so that they differ
		*l.to = ln.Addr().String()
	}
	return p, nil
}

// urlOf is where a client reaches a listener.
func urlOf(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + addr
}

// Ready is closed once the server answers.
func (s *devServer) Ready() <-chan struct{} { return s.ready }

// Run runs the server until ctx ends or it ends by itself, which is an error.
func (s *devServer) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.program, "--base-dir", s.dir, "--no-logo") //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), "RESTATE_INGRESS__BIND_ADDRESS="+s.listen.ingress, "RESTATE_ADMIN__BIND_ADDRESS="+s.listen.admin,
		"RESTATE_BIND_ADDRESS="+s.listen.node)
	if s.vars.get("RESTATE_NODE_NAME") == "" {
		cmd.Env = append(cmd.Env, "RESTATE_NODE_NAME=dev")
	}
	cmd.Stdout, cmd.Stderr = s.env.Err, s.env.Err
	// A group of its own: Ctrl-C reaches this program alone, which then tells the server once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = s.stopsWithin
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	g := lifecycle.NewGroup(ctx)
	g.Go("server", func(context.Context) error {
		err := cmd.Wait()
		if ctx.Err() != nil && cmd.ProcessState.Success() {
			return nil // it was told to
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		return hint(err, "It says why above. If its ports are taken, --use-random-ports takes others.")
	})
	g.Go("waiting for the server", s.awaitReady)
	return g.Wait()
}

// awaitReady asks until the server answers, or ctx ends.
func (s *devServer) awaitReady(ctx context.Context) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.admin+"/health", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close() // it has none
			if resp.StatusCode == http.StatusOK {
				close(s.ready)
				return nil
			}
		}
		if !s.sleep(ctx, readyEvery) {
			return nil // whoever ended it says why
		}
	}
}

// sleep waits, and tells whether ctx still goes on.
func (r *runner) sleep(ctx context.Context, d time.Duration) bool {
	timer := r.env.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

func (s *devServer) greet(endpoints int) {
	s.section("Reprise is running")
	t := grid.Table{}
	t.Add("Ingress:", s.settings.Ingress)
	t.Add("Admin:", s.settings.Admin)
	t.Add("Data:", s.dir)
	s.printf("%s\n", t.Draw(grid.Compact))
	if s.listen.admin != "127.0.0.1:9070" {
		s.printf("For commands in other terminals:\n  export RESTATE_ADMIN_URL=%s RESTATE_INGRESS_URL=%s\n\n", s.settings.Admin, s.settings.Ingress)
	}
	if endpoints == 0 {
		s.printf("Register your services with: reprise deployments register <URL>\n")
	}
	s.printf("Ctrl-C ends it.\n\n")
}

// clean removes the data.
func (s *devServer) clean(retain bool) error {
	if retain {
		s.printf("The data stays in %s\n", s.dir)
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("data of the server: %w", err)
	}
	return nil
}

// sharedWriter lets several write.
type sharedWriter struct {
	mu sync.Mutex // guards to
	to io.Writer
}

func (w *sharedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

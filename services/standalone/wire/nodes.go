package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/services/internal/daemon"
)

const (
	// nodesMax is how many nodes one machine is asked to run: etcd wants an odd number, and few.
	nodesMax = 7
	// portStep lies between the ports of one node and those of the next.
	portStep = 100
	// startAgainAfter is the pause after which a node that died is started again: long enough to see that it is missed by
	// nobody.
	startAgainAfter = time.Second
	// stopLimit is how long a node may take to stop.
	stopLimit = 10 * time.Second
)

// Nodes runs a cluster of several nodes with all roles, each a process of its own, on loopback: the first on the ports of the
// configuration, each other on ports that are 100 higher. A node that dies is started again. args are the arguments
// that each gets.
func Nodes(ctx context.Context, d daemon.Daemon, n int, args []string) error {
	if n < 2 || n > nodesMax {
		return errs.Newf(errs.Invalid, "--nodes %d: a cluster on one machine has 2 to %d nodes; 3 survive the death of one", n, nodesMax)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	base := d.Config.BaseDir
	if base == "./reprise-data" { // the default: nobody chose it
		base = "reprise-cluster"
	}
	if base, err = filepath.Abs(base); err != nil {
		return err
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return errs.Newf(errs.Invalid, "folder of the nodes: %w: change base-dir or its permissions", err)
	}
	c := &nodes{d: d, self: self, base: base, args: args}
	for i := range n {
		c.all = append(c.all, c.node(i))
	}
	var peers []string
	for _, m := range c.all {
		peers = append(peers, fmt.Sprintf("%q", m.name+"="+m.url(m.peer)))
	}
	c.peers = "[" + strings.Join(peers, ", ") + "]"
	g := lifecycle.NewGroup(ctx)
	for i := range c.all {
		m := &c.all[i]
		g.Go(m.name, func(ctx context.Context) error { return c.keep(ctx, m) })
	}
	g.Go("banner", c.banner)
	return g.Wait()
}

type nodes struct {
	d          daemon.Daemon
	self, base string
	args       []string
	peers      string
	all        []member
}

// member is one node: its ports on loopback.
type member struct {
	name                                 string
	ingress, admin, fabric, peer, client int
}

func (m *member) url(port int) string { return "http://" + at(port) }

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (c *nodes) node(i int) member {
	cfg := &c.d.Config
	port := func(addr string) int {
		_, p, err := net.SplitHostPort(addr)
		if err != nil {
			return 0
		}
		n, _ := strconv.Atoi(p) // an address that was read before
		return n + i*portStep
	}
	return member{
		name: "node-" + strconv.Itoa(i+1), ingress: port(cfg.IngressEndpoint().Addr), admin: port(cfg.AdminEndpoint().Addr),
		fabric: port(cfg.Fabric().Addr), peer: int(cfg.MetadataServer.PeerPort) + i*portStep, client: int(cfg.MetadataServer.ClientPort) + i*portStep,
	}
}

// environ is what makes a process this node.
func (c *nodes) environ(m *member) []string {
	replication := "{node: 2}"
	if r := string(c.d.Config.Replication); r != "{node: 1}" {
		replication = r
	}
	return append(os.Environ(),
		"RESTATE_NODE_NAME="+m.name, "RESTATE_BASE_DIR="+c.base,
		"RESTATE_BIND_ADDRESS="+at(m.fabric), "RESTATE_ADVERTISED_ADDRESS="+m.url(m.fabric),
		"RESTATE_INGRESS__BIND_ADDRESS="+at(m.ingress), "RESTATE_ADMIN__BIND_ADDRESS="+at(m.admin),
		"RESTATE_METADATA_SERVER__PEER_PORT="+strconv.Itoa(m.peer), "RESTATE_METADATA_SERVER__CLIENT_PORT="+strconv.Itoa(m.client),
		"RESTATE_METADATA_SERVER__INITIAL_CLUSTER="+c.peers, "RESTATE_DEFAULT_REPLICATION="+replication)
}

// keep runs a node, and starts it again when it dies. One that fails by itself three times in a row within a second is given up.
func (c *nodes) keep(ctx context.Context, m *member) error {
	for failures := 0; ; {
		began := c.d.Host.Clock.Now()
		err := c.run(ctx, m)
		if ctx.Err() != nil {
			return nil
		}
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && !exit.Exited()
		if failures++; killed || c.d.Host.Clock.Now().Sub(began) > startAgainAfter {
			failures = 0
		}
		if failures == 3 {
			return fmt.Errorf("%s does not start: %w: its last words are in %s", m.name, err, c.log(m))
		}
		c.d.Host.Log.Warn("a node ended, and is started again in a second", slog.String(logkey.Node, m.name), slog.Any(logkey.Err, err))
		timer := c.d.Host.Clock.NewTimer(startAgainAfter)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (c *nodes) log(m *member) string { return filepath.Join(c.base, m.name+".log") }

// run runs a node until it ends, or ctx does, which stops it.
func (c *nodes) run(ctx context.Context, m *member) (err error) {
	log, err := os.OpenFile(c.log(m), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, log)
	cmd := exec.CommandContext(ctx, c.self, c.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.environ(m), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process, which stops the others in order
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := filepath.Join(c.base, m.name+".pid")
	if err := os.WriteFile(pid, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o644); err != nil {
		return errors.Join(err, cmd.Cancel(), cmd.Wait())
	}
	return cmd.Wait()
}

// banner tells people when all nodes are ready.
func (c *nodes) banner(ctx context.Context) error {
	for i := range c.all {
		m := &c.all[i]
		for _, url := range []string{m.url(m.admin) + "/health", m.url(m.ingress) + "/restate/health"} {
			if !c.ready(ctx, url) {
				return nil
			}
		}
	}
	first := &c.all[0]
	shown := c.base
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, c.base); err == nil {
			shown = rel
		}
	}
	_, _ = fmt.Fprintf(c.d.Banner, `
%d nodes are ready: ingress %s, admin %s, data and logs in %s

Any of them may die; it is started again after a second:
  kill -9 $(cat %s)

`, len(c.all), first.url(first.ingress), first.url(first.admin), shown, filepath.Join(shown, "node-2.pid")) // a closed stdout is no reason to stop
	<-ctx.Done()
	return nil
}

// ready asks until the answer is 200; false if ctx ended.
func (c *nodes) ready(ctx context.Context, url string) bool {
	timer := c.d.Host.Clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C():
		}
		if req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil); err == nil {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close() // only the status counts
				if resp.StatusCode == http.StatusOK {
					return true
				}
			}
		}
		timer.Reset(50 * time.Millisecond)
	}
}

// CutNodes takes --nodes N out of the arguments of a command line; n is 1 without it.
func CutNodes(args []string) (n int, rest []string, err error) {
	n = 1
	for i := 0; i < len(args); i++ {
		value, ok := strings.CutPrefix(args[i], "--nodes=")
		if args[i] == "--nodes" && i+1 < len(args) {
			i++
			value, ok = args[i], true
		}
		if !ok {
			rest = append(rest, args[i])
			continue
		}
		if n, err = strconv.Atoi(value); err != nil {
			return 0, nil, errs.Newf(errs.Invalid, "--nodes %s: it must be a number, such as 3", value)
		}
	}
	return n, rest, nil
}

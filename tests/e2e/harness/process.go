package harness

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// startLimit is how long a process may take until it says that it is ready.
	startLimit = 60 * time.Second
	// stopLimit is how long it may take to end after SIGTERM.
	stopLimit = 30 * time.Second
)

// Process is one program that runs, or does not, with the same settings each time.
type Process struct {
	Name    string
	Ready   []string // URLs that answer 200 once the process is ready
	Addrs   []string // host:port of its listeners: of a daemon, that of the fabric is the first
	Ingress string   // URL; empty: it has none
	// Faults is the folder that tells a process built with the tag faults how its clock and disk fail; see pkg/host/faulty.
	Faults string

	path string
	args []string
	env  []string
	log  string

	mu   sync.Mutex
	cmd  *exec.Cmd     // nil while it is down
	done chan struct{} // closed when cmd has ended
	err  error         // of cmd, after done
}

// Spec says how to run a Process. Env are NAME=value pairs beside those of this process, less all
// that would configure a server. Output goes to Dir/Name.log.
type Spec struct {
	Name, Path, Dir string
	Ingress, Faults string
	Args, Env       []string
	Ready, Addrs    []string
}

// NewProcess describes a process; Start starts it.
func NewProcess(s Spec) *Process {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return bytes.HasPrefix([]byte(v), []byte("RESTATE_"))
	})
	return &Process{
		Name: s.Name, Ready: s.Ready, Addrs: s.Addrs, Ingress: s.Ingress, Faults: s.Faults,
		path: s.Path, args: s.Args, env: append(env, s.Env...), log: filepath.Join(s.Dir, s.Name+".log"),
	}
}

// Set adds NAME=value pairs to the environment of the next start.
func (p *Process) Set(env ...string) { p.env = append(p.env, env...) }

// Settings are its environment, NAME=value.
func (p *Process) Settings() []string { return slices.Clone(p.env) }

// Use has the next Start run another program.
func (p *Process) Use(path string) { p.path = path }

// Start starts the process and does not wait until it is ready.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("start %s: it runs already", p.Name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer func() { _ = log.Close() }()   // the process has its own descriptor
	c := exec.Command(p.path, p.args...) //nolint:noctx // it outlives the call; Kill and Stop end it
	c.Env, c.Stdout, c.Stderr = p.env, log, log
	c.Dir = filepath.Dir(p.log)
	// Should this process die, that one is killed, too.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done, p.err = c, done, nil
	go func() {
		p.err = c.Wait()
		close(done)
	}()
	return nil
}

// WaitReady returns when all addresses in Ready answer 200.
func (p *Process) WaitReady(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err := Wait(ctx, startLimit, p.Name+" ready", func(ctx context.Context) error {
		if err := p.Ended(); err != nil {
			return err
		}
		for _, url := range p.Ready {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %s", url, res.Status)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail())
	}
	return nil
}

// WaitListening returns when something listens at all of Addrs.
func (p *Process) WaitListening(ctx context.Context) error {
	err := Wait(ctx, startLimit, p.Name+" listening", func(ctx context.Context) error {
		if err := p.Ended(); err != nil {
			return err
		}
		for _, addr := range p.Addrs {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return err
			}
			if err := conn.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail())
	}
	return nil
}

// Ended returns an error if the process ended by itself.
func (p *Process) Ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %v", p.Name, p.cmd.ProcessState)
	default:
		return nil
	}
}

// PID is the process id, 0 while it is down.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Signal sends a signal that does not end the process, such as SIGSTOP.
func (p *Process) Signal(sig syscall.Signal) error { return syscall.Kill(p.PID(), sig) }

// Kill ends the process with SIGKILL. It fails if the process had ended before.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Stop ends the process with SIGTERM and fails if it does not end in time or not with code 0.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM) }

func (p *Process) end(sig syscall.Signal) error {
	if err := p.Ended(); err != nil {
		p.forget()
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	defer func() { p.cmd = nil }()
	_ = syscall.Kill(-p.cmd.Process.Pid, sig) // it may have ended a moment ago; Wait tells
	select {
	case <-p.done:
	case <-time.After(stopLimit):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("%s did not end within %s of %s", p.Name, stopLimit, sig)
	}
	if sig == syscall.SIGTERM && p.err != nil {
		return fmt.Errorf("%s after SIGTERM: %w", p.Name, p.err)
	}
	return nil
}

// Revive starts the process again if it has ended by itself, and returns when it is ready.
func (p *Process) Revive(ctx context.Context) error {
	if p.Ended() == nil {
		return p.WaitReady(ctx)
	}
	p.forget()
	return p.Restart(ctx)
}

func (p *Process) forget() {
	p.mu.Lock()
	p.cmd = nil
	p.mu.Unlock()
}

// tailBytes is how much of a log is worth showing.
const tailBytes = 3000

// Tail is the end of what the process wrote.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > tailBytes {
		b = b[len(b)-tailBytes:]
	}
	return fmt.Sprintf("--- end of %s\n%s---", p.log, b)
}

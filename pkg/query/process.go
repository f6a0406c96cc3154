package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"reprise/pkg/query/pipe"
)

// process is a query process.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	in     *pipe.Writer
	out    *pipe.Reader
	dir    string // where it may spill
	last   *tail
	reused bool // it has answered a statement
	since  time.Time
	memory int64 // MemoryBytes of its start

	nice  int  // niceness of the daemon
	rises bool // it can have its priority back

	// mu guards what follows.
	mu    sync.Mutex
	ended bool
	slow  bool // it gave way
}

// startProcess starts a query process. It does not wait for it: what is written waits in the pipe.
func startProcess(c *Config) (p *process, err error) {
	p = &process{last: &tail{}, memory: c.MemoryBytes}
	if p.dir, err = os.MkdirTemp(c.SpillDir, "reprise-query-"); err != nil {
		return nil, fmt.Errorf("make a spill folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(p.dir))
		}
	}()
	p.cmd = exec.CommandContext(context.Background(), c.Command[0], c.Command[1:]...) // kill ends it
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = p.dir, []string{}, p.last
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // for setPriority
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a query process: %w", err)
	}
	p.stdin, p.in, p.out = stdin, pipe.NewWriter(stdin), pipe.NewReader(stdout)
	if err := p.findPriority(c.QuickTime > 0); err != nil {
		p.kill()
		return nil, err
	}
	config := pipe.Config{MemoryBytes: max(c.MemoryBytes/int64(c.ConcurrentMax), memoryMin), SpillDir: p.dir, Threads: c.Threads}
	if err := p.in.WriteJSON(pipe.Configure, 0, config); err != nil {
		p.kill()
		return nil, fmt.Errorf("configure a query process: %w", err)
	}
	return p, nil
}

// memoryMin is what DuckDB needs for anything at all.
const memoryMin = 64 << 20

// kill ends the process, if it has not ended, and removes what it spilled. It is idempotent.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock() // held while it ends, which is soon: a second caller may count on that
	if p.ended {
		return
	}
	p.ended = true
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.stdin.Close()
	_ = p.cmd.Wait() // that it was killed is no news
	_ = os.RemoveAll(p.dir)
}

// epitaph says how a process ended by itself. Call it after kill.
func (p *process) epitaph() string {
	text := p.last.String()
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	state := "it ended"
	if s := p.cmd.ProcessState; s != nil {
		state = s.String()
	}
	return strings.TrimSpace(state + " " + text)
}

// starved tells whether a process ended because it got no more memory.
func (p *process) starved() bool {
	text := p.last.String()
	for _, sign := range []string{"bad_alloc", "out of memory", "cannot allocate memory", "failed to allocate", "Out of Memory"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// tail keeps the beginning of what a process says of its end.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailMax = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b[:min(len(b), tailMax-len(t.b))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

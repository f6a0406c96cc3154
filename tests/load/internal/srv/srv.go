// Package srv starts and stops servers under test and talks to their admin API.
package srv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"reprise/tests/load/internal/load"
	"reprise/tests/load/internal/procfs"
)

// Config describes a server: how to start it and how to reach it.
type Config struct {
	Name string `json:"name"`
	// Start is the command. It runs in the foreground until it gets SIGTERM,
	// and keeps all its data below the folder named by BENCH_DATA_DIR.
	Start []string          `json:"start"`
	Env   map[string]string `json:"env"`
	// Ingress and Admin are base URLs.
	Ingress string `json:"ingress"`
	Admin   string `json:"admin"`
	// Ready is the URL that answers 2xx once the server can be registered with;
	// by default Admin + "/health".
	Ready string `json:"ready"`
	// DataDir is emptied before each fresh start.
	DataDir string `json:"data_dir"`
	// VictimPIDFile, below DataDir, names one process to kill in the recovery
	// scenario; without it the whole server is killed and started again.
	VictimPIDFile string `json:"victim_pid_file"`
	// PIDs are the processes of a server that runs already, if there is no Start.
	PIDs []int `json:"pids"`
	// LogFile takes the output of the server; by default DataDir + ".log".
	LogFile string `json:"log_file"`
}

// LoadConfig reads a Config. Environment variables in its strings are expanded.
func LoadConfig(path string) (Config, error) {
	var c Config
	b, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(os.ExpandEnv(string(b))), &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if c.Name == "" {
		c.Name = strings.TrimSuffix(filepath.Base(path), ".json")
	}
	return c, nil
}

// Server is a server under test.
type Server struct {
	Config
	cmd    *exec.Cmd
	exited chan struct{}

	mu     sync.Mutex
	pids   []int
	pidsAt time.Time
}

// New makes a server from its configuration, without starting it.
func New(c Config) *Server { return &Server{Config: c} }

// Managed tells whether the server can be started and stopped.
func (s *Server) Managed() bool { return len(s.Start) > 0 }

// Running tells whether the process started last still runs.
func (s *Server) Running() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// Launch starts the process, with an empty data folder if fresh.
func (s *Server) Launch(fresh bool) error {
	if s.DataDir == "" {
		return fmt.Errorf("%s: data_dir is not set", s.Name)
	}
	if fresh {
		if err := os.RemoveAll(s.DataDir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.DataDir, 0o755); err != nil {
		return err
	}
	logPath := s.LogFile
	if logPath == "" {
		logPath = strings.TrimSuffix(s.DataDir, "/") + ".log"
	}
	lf, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer lf.Close()
	cmd := exec.Command(s.Config.Start[0], s.Config.Start[1:]...)
	cmd.Env = append(os.Environ(), "BENCH_DATA_DIR="+s.DataDir)
	for k, v := range s.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout, cmd.Stderr = lf, lf
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	s.exited = make(chan struct{})
	s.mu.Lock()
	s.pids = nil
	s.mu.Unlock()
	go func(done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(s.exited)
	return nil
}

// Stop ends the process group that Launch started, at last by force.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	pgid := s.cmd.Process.Pid
	_ = syscall.Kill(-pgid, syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
	}
	_ = syscall.Kill(-pgid, syscall.SIGKILL)
	<-s.exited
	s.cmd = nil
}

// Kill ends the process group at once, as a crash would.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.exited
	s.cmd = nil
}

// KillVictim kills the one process that VictimPIDFile names.
func (s *Server) KillVictim() error {
	b, err := os.ReadFile(filepath.Join(s.DataDir, s.VictimPIDFile))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	for _, p := range s.ProcessIDs() {
		if p == pid {
			return syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return fmt.Errorf("process %d is not one of this server's", pid)
}

// ProcessIDs are all processes of the server.
func (s *Server) ProcessIDs() []int {
	if s.cmd == nil {
		return s.PIDs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pids == nil || time.Since(s.pidsAt) > time.Second {
		s.pids = procfs.Tree(s.cmd.Process.Pid)
		s.pidsAt = time.Now()
	}
	return s.pids
}

func (s *Server) readyURL() string {
	if s.Ready != "" {
		return s.Ready
	}
	return s.Admin + "/health"
}

var client = &http.Client{Timeout: 600 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (s *Server) poll(ctx context.Context, what string, try func() error) error {
	var last error
	for {
		if s.cmd != nil && !s.Running() {
			return fmt.Errorf("%s: the process has ended, see its log", s.Name)
		}
		if last = try(); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: %w", s.Name, what, last)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// WaitReady waits for the ready URL.
func (s *Server) WaitReady(ctx context.Context) error {
	return s.poll(ctx, "not ready", func() error {
		resp, err := client.Get(s.readyURL())
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
}

// Register makes the service endpoint at uri known to the server.
func (s *Server) Register(ctx context.Context, uri string) error {
	body, _ := json.Marshal(map[string]any{"uri": uri, "force": true})
	return s.poll(ctx, "cannot register the services", func() error {
		resp, err := client.Post(s.Admin+"/deployments", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("status %d: %s", resp.StatusCode, b)
		}
		return nil
	})
}

// WaitInvocation waits until an invocation succeeds.
func (s *Server) WaitInvocation(ctx context.Context) error {
	d, err := load.NewDialer(s.Ingress, "h1")
	if err != nil {
		return err
	}
	c := d.Client()
	defer c.Close()
	return s.poll(ctx, "no invocation succeeds", func() error {
		rctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		resp, err := c.Do(rctx, &load.Request{Path: "/Bench/echo", Body: []byte(`"up"`), ContentType: "application/json"})
		if err != nil {
			return err
		}
		if resp.Status != http.StatusOK {
			return fmt.Errorf("status %d: %s", resp.Status, resp.Body)
		}
		return nil
	})
}

// Up starts the server and waits until an invocation succeeds.
func (s *Server) Up(ctx context.Context, fresh bool, servicesURI string) error {
	ctx, cancel := context.WithTimeout(ctx, 120*time.Second)
	defer cancel()
	if err := s.Launch(fresh); err != nil {
		return err
	}
	if err := s.WaitReady(ctx); err != nil {
		return err
	}
	if err := s.Register(ctx, servicesURI); err != nil {
		return err
	}
	return s.WaitInvocation(ctx)
}

// Query runs an introspection query and returns the size of the answer.
func (s *Server) Query(ctx context.Context, sql string) ([]byte, error) {
	body, _ := json.Marshal(map[string]string{"query": sql})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Admin+"/query", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("content-type", "application/json")
	req.Header.Set("accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	return b, nil
}

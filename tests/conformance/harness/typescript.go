package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/conformance/probe"
)

// ErrNoTypeScript says that Node or the TypeScript SDK is missing.
var ErrNoTypeScript = errors.New("the TypeScript SDK is not installed: npm is missing, or scripts/typescript did not run")

// typescript is the program main.ts: it serves the suite's services with the TypeScript SDK and runs
// cases with its client. It is told what to do over HTTP on loopback, and calls the probe in this
// process the same way.
type typescript struct {
	folder string

	mu      sync.Mutex
	control string // URL; empty until it is started
	cmd     *exec.Cmd
	stdin   io.Closer // the program ends with it
	probe   *http.Server
}

// startLimit is how long Node may take to start.
const startLimit = 60 * time.Second

// start starts the program, once.
func (p *typescript) start() (control string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.control != "" {
		return p.control, nil
	}
	folder, err := filepath.Abs(p.folder)
	if err != nil {
		return "", err
	}
	// The packages are shared with the other programs below tests/.
	node := filepath.Join(folder, "..", "..", "node_modules", ".bin", "node")
	if _, err := os.Stat(node); err != nil {
		return "", fmt.Errorf("%w (%s)", ErrNoTypeScript, node)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.probe = &http.Server{Handler: probe.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.probe.Serve(ln) }()
	p.cmd = exec.Command(node, filepath.Join(folder, "main.ts"), "http://"+ln.Addr().String())
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	if err := p.cmd.Start(); err != nil {
		return "", err
	}
	p.stdin = stdin
	late := time.AfterFunc(startLimit, func() { _ = stdin.Close() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if !late.Stop() || err != nil {
		return "", fmt.Errorf("the TypeScript program does not start: %w", err)
	}
	p.control = strings.TrimSpace(line)
	return p.control, nil
}

// ask lets the program do something and decodes its answer.
func (p *typescript) ask(ctx context.Context, what string, in, out any) error {
	control, err := p.start()
	if err != nil {
		return err
	}
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, control+"/"+what, bytes.NewReader(b))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err = io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(b)))
	}
	return json.Unmarshal(b, out)
}

// tsService tells the program which of its services to serve.
type tsService struct {
	Kind string   `json:"kind"`
	Name string   `json:"name"`
	Args []string `json:"args"`
}

// Serve implements SDK.
func (p *typescript) Serve(e *Env, mode Mode, addr string, defs []restate.ServiceDefinition) (*Endpoint, error) {
	manifest, err := manifestOf(defs)
	if err != nil {
		return nil, err
	}
	var kinds []tsService
	for _, d := range defs {
		k, ok := d.(Kinded)
		if !ok {
			return nil, fmt.Errorf("service %s is of no kind that the TypeScript program knows", d.Name())
		}
		kind, args := k.Kind()
		kinds = append(kinds, tsService{kind, d.Name(), args})
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var at struct{ Addr string }
	in := map[string]any{"addr": addr, "mode": mode.String(), "versions": e.Setup.Versions, "services": kinds, "manifest": manifest}
	if err := p.ask(ctx, "serve", in, &at); err != nil {
		return nil, fmt.Errorf("serve with TypeScript: %w", err)
	}
	uri, err := e.uriOf(at.Addr)
	if err != nil {
		return nil, err
	}
	return &Endpoint{URI: uri, Mode: mode, close: func() { p.close(at.Addr) }, requests: func() ([]string, []http.Header, error) {
		return p.requests(at.Addr)
	}}, nil
}

// close ends an endpoint; its address is free again afterwards.
func (p *typescript) close(addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var ok struct{}
	_ = p.ask(ctx, "close", map[string]string{"addr": addr}, &ok) // it may be closed twice, by a case and after it
}

func (p *typescript) requests(addr string) ([]string, []http.Header, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out struct {
		Paths   []string
		Headers []map[string]string
	}
	if err := p.ask(ctx, "requests", map[string]string{"addr": addr}, &out); err != nil {
		return nil, nil, err
	}
	var headers []http.Header
	for _, m := range out.Headers {
		h := http.Header{}
		for k, v := range m {
			h.Set(k, v)
		}
		headers = append(headers, h)
	}
	return out.Paths, headers, nil
}

// Handler implements SDK: the services are behind a proxy that passes both directions on at once.
func (p *typescript) Handler(e *Env, mode Mode, defs []restate.ServiceDefinition) (http.Handler, error) {
	addr, err := e.bindAddr("")
	if err != nil {
		return nil, err
	}
	ep, err := p.Serve(e, mode, addr, defs) // it ends with the program
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(ep.URI)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.FlushInterval = -1
	var protocols http.Protocols
	protocols.SetHTTP1(mode == HTTP1)
	protocols.SetUnencryptedHTTP2(mode != HTTP1)
	proxy.Transport = &http.Transport{Protocols: &protocols}
	return proxy, nil
}

// stop ends the program.
func (p *typescript) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stdin != nil {
		_ = p.stdin.Close()
		_ = p.cmd.Wait() // it was told to end; how it does does not matter
	}
	if p.probe != nil {
		_ = p.probe.Close()
	}
}

// TypeScriptClient lets the program run a case of its own with the TypeScript ingress client; args are
// what the case is given. Without the program the case is skipped, in CI it fails.
func (t *T) TypeScriptClient(name string, args map[string]any) {
	var out struct{ Error string }
	err := t.Env.typescript.ask(t.ctx, "client", map[string]any{"case": name, "ingress": t.Env.Ingress.Base, "args": args}, &out)
	if errors.Is(err, ErrNoTypeScript) && os.Getenv("CI") != "true" {
		t.Skipf("%v", err)
	}
	t.Check(err, "the TypeScript client")
	if out.Error != "" {
		t.Fatalf("%s", out.Error)
	}
}

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/pkg/certs/certstest"
	"reprise/tests/e2e/harness"
	"reprise/tests/e2e/history"
)

// secured is a form whose daemons have certificates, and an operator who has one.
type secured struct {
	t    *testing.T
	form *harness.Form
	ca   *certstest.Authority
	ops  certstest.Files
	dir  string
}

func secure(t *testing.T, f *harness.Form) *secured {
	t.Helper()
	s := &secured{t: t, form: f, ca: certstest.New(t, "cluster"), dir: t.TempDir()}
	s.ops = s.ca.Files(t, t.TempDir(), certstest.Leaf{Name: "operator"})
	return s
}

// settings are those of a process for a mode.
func (s *secured) settings(mode string) []string {
	f := s.ca.Files(s.t, s.dir, certstest.Leaf{Name: "daemon", Hosts: []string{"127.0.0.1"}})
	return []string{"RESTATE_NETWORKING__TLS__MODE=" + mode, "RESTATE_NETWORKING__TLS__CERT=" + f.Cert, "RESTATE_NETWORKING__TLS__KEY=" + f.Key, "RESTATE_NETWORKING__TLS__CA=" + f.CA}
}

// operator asks with a certificate.
func (s *secured) operator(at string) *operator {
	n := newOperator(s.t, "https://"+at)
	n.session.first = append(s.flags(), n.session.first...)
	return n
}

// flags are those of an operator with a certificate.
func (s *secured) flags() []string {
	return []string{"--tls-ca", s.ops.CA, "--tls-cert", s.ops.Cert, "--tls-key", s.ops.Key}
}

// etcd is what holds for the ports of etcd in the nodes once all are strict.
func (s *secured) etcd() {
	s.t.Helper()
	for _, p := range s.form.Processes[:3] {
		for _, at := range p.Addrs[1:3] {
			resp, err := http.Get("http://" + at + "/version")
			if err == nil {
				_ = resp.Body.Close()
				s.t.Errorf("%s answers at %s without TLS: %s", p.Name, at, resp.Status)
			}
		}
	}
}

// get asks a fabric port.
func (s *secured) get(url string, c *tls.Config) (int, string) {
	s.t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, http.NoBody)
	ok(s.t, err)
	resp, err := client.Do(req)
	ok(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ok(s.t, err)
	return resp.StatusCode, string(b)
}

// strict is what holds for each daemon once all are strict.
func (s *secured) strict() {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(s.ops.Cert, s.ops.Key)
	ok(s.t, err)
	known := &tls.Config{RootCAs: s.ca.Pool(), Certificates: []tls.Certificate{pair}}
	for _, p := range s.form.Processes {
		at := fabricOf(p)
		if code, _ := s.get("http://"+at+"/health", nil); code != http.StatusOK {
			s.t.Errorf("%s: health %d", p.Name, code)
		}
		if code, _ := s.get("http://"+at+"/metrics", nil); code != http.StatusForbidden {
			s.t.Errorf("%s: metrics without TLS: %d", p.Name, code)
		}
		if code, text := s.get("https://"+at+"/metrics", known); code != http.StatusOK || !strings.Contains(text, `reprise_certs_end_timestamp_seconds{`) {
			s.t.Errorf("%s: metrics with a certificate: %d", p.Name, code)
		}
	}
	first := fabricOf(s.form.Processes[0])
	n := s.operator(first)
	for _, p := range s.form.Processes {
		n.waits("nodes list", 0, p.Name)
		n.run("-s https://"+fabricOf(p)+" health", 0, `Alive`)
	}
	n.waits("metadata-server list", 0, `Member`)
	last := s.form.Processes[len(s.form.Processes)-1] // an admin daemon, in each form
	n.run("-s https://"+fabricOf(last)+" sql 'SELECT 1'", 0, `1 rows`)
	newOperator(s.t, "http://"+first).run("nodes list", 1, `EOF|reset|broken pipe`)
	bare := newOperator(s.t, "https://"+first)
	bare.session.first = append([]string{"--tls-ca", s.ops.CA}, bare.session.first...)
	bare.run("nodes list", 1, `certificate required`)
	newOperator(s.t, "https://"+first).run("nodes list", 1, `unknown authority`)
}

// A cluster that is strict from its first start: handlers run, operators and Prometheus with certificates get in, and nobody else.
func TestStrictTLS(t *testing.T) {
	form, err := harness.NewDaemons(env.bins, env.ports, filepath.Join(env.dir, "strict-tls"))
	ok(t, err)
	s := secure(t, form)
	for _, p := range form.Processes {
		p.Set(s.settings("strict")...)
	}
	t.Cleanup(func() { ok(t, form.Stop()) })
	ok(t, form.Start(t.Context()))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(form)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))
	ok(t, c.Call(t.Context(), "Box/tls/clear", "x", nil))
	if rows, err := c.Query(t.Context(), "SELECT id FROM sys_invocation"); err != nil || !strings.Contains(rows, "inv_") {
		t.Errorf("%s, %v", rows, err) // it asks workers for rows
	}
	s.strict()
}

// payers raise accounts, each in the name of its own, until they are stopped.
type payers struct {
	form  *harness.Form
	c     *harness.Client
	calls atomic.Int64
	mu    sync.Mutex
	told  map[string]int // by account
	group sync.WaitGroup
}

// callLimit is how long one call may be without an answer from any ingress: longer than a process may take to start.
const callLimit = 90 * time.Second

func (l *payers) run(t *testing.T, ctx context.Context, account string) {
	for i := 1; ctx.Err() == nil; i++ {
		mark := fmt.Sprintf("%s-%d", account, i)
		err := harness.Wait(t.Context(), callLimit, "call "+mark, func(ctx context.Context) error {
			var last error
			for _, p := range l.form.Ingresses() {
				res, err := l.c.Do(ctx, harness.Request{URL: p.Ingress + "/Account/" + account + "/add", Body: mark, Header: map[string]string{"idempotency-key": mark}})
				if err == nil && res.Status == http.StatusOK {
					return nil
				}
				last = err
				if err == nil {
					last = &harness.StatusError{Path: mark, Status: res.Status, Body: string(res.Body)}
				}
			}
			return last
		})
		if err != nil {
			t.Error(err)
			return
		}
		l.mu.Lock()
		l.told[account] = i
		l.mu.Unlock()
		l.calls.Add(1)
	}
}

// goesOn returns once so many more calls were answered.
func (l *payers) goesOn(t *testing.T, more int64) {
	t.Helper()
	to := l.calls.Load() + more
	ok(t, harness.Wait(t.Context(), callLimit, "calls go on", func(context.Context) error {
		if n := l.calls.Load(); n < to {
			return fmt.Errorf("%d of %d", n, to)
		}
		return nil
	}))
}

// A cluster of nodes with all roles is moved to TLS one process at a time, while callers are served: plain, optional, strict. With -matrix
// also back.
func TestRollToTLS(t *testing.T) {
	form, err := harness.NewNodes(env.bins, env.ports, filepath.Join(env.dir, "roll-tls"))
	ok(t, err)
	s := secure(t, form)
	t.Cleanup(func() { ok(t, form.Stop()) })
	ok(t, form.Start(t.Context()))
	ok(t, form.WaitSettled(t.Context()))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	l := &payers{form: form, c: harness.NewClient(form), told: map[string]int{}}
	t.Cleanup(l.c.Close)
	ok(t, l.c.Register(t.Context(), endpoint.URI))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 4 {
		l.group.Go(func() { l.run(t, ctx, fmt.Sprintf("a%d", i)) })
	}
	modes := []string{"optional", "strict"}
	if *matrixFlag {
		modes = append(modes, "optional", "off")
	}
	for _, mode := range modes {
		settings := s.settings(mode)
		for _, p := range form.Processes {
			ok(t, p.Stop())
			p.Set(settings...)
			ok(t, p.Restart(t.Context()))
			l.goesOn(t, 20)
			form.ControlFlags = s.flags()
			if mode == "off" {
				form.ControlFlags = nil // who shows no certificate asks all of them plainly
			}
			ok(t, form.WaitSettled(t.Context()))
		}
		if mode == "strict" {
			s.strict()
			s.etcd()
		}
	}
	cancel()
	l.group.Wait()
	for account, want := range l.told {
		var got history.Account
		ok(t, l.c.Call(t.Context(), "Account/"+account+"/read", nil, &got))
		if got.Total != want {
			t.Errorf("%s was raised %d times, and %d calls were answered", account, got.Total, want)
		}
	}
	t.Logf("%d calls", l.calls.Load())
}

package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"reprise/pkg/access"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/ingress"
	"reprise/pkg/lifecycle"
)

type running struct {
	c      *cluster
	clock  *hosttest.Clock
	addr   string
	core   *ingress.Ingress
	server *ingress.Server
	stop   context.CancelFunc
	ended  *lifecycle.Group
	page   func() string // metrics
}

// fronts runs a test over both: whatever the one answers, the other answers too.
func fronts(t *testing.T, f func(t *testing.T, cfg ingress.Config)) {
	for name, only := range map[string]bool{"plain": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			cfg := ingress.Default()
			cfg.NetHTTPOnly = only
			f(t, cfg)
		})
	}
}

func startServer(t *testing.T, cfg ingress.Config) *running {
	t.Helper()
	return startServerOf(t, cfg, nil)
}

func startServerOf(t *testing.T, cfg ingress.Config, tokens *access.Tokens) *running {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &running{c: newCluster(), clock: hosttest.NewClock(), addr: ln.Addr().String()}
	core, h := newCoreOf(t, ingress.Parts{Partitions: s.c, Tokens: tokens}, s.clock, cfg)
	s.core = core
	server := ingress.NewServer(core, []net.Listener{ln}, h)
	s.server = server
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.ended = stop, lifecycle.NewGroup(ctx)
	s.ended.Go("server", server.Run)
	s.page = func() string { return exposition(t, h) }
	<-server.Ready()
	t.Cleanup(func() {
		stop()
		if err := s.ended.Wait(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// refuses returns when no connection is accepted any more.
func (s *running) refuses() {
	for {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// raw sends bytes on a connection of its own and reads one response.
func (s *running) raw(t *testing.T, text string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

const head = " HTTP/1.1\r\nhost: x\r\n"

func TestServerAnswers(t *testing.T) { fronts(t, testServerAnswers) }

func testServerAnswers(t *testing.T, cfg ingress.Config) {
	s := startServer(t, cfg)
	for _, row := range []struct {
		name, request string
		status        int
		headers       map[string]string // "" = must be absent
		body          string
	}{
		{
			"call", "POST /Greeter/Greet" + head + "content-type: application/json\r\nidempotency-key: k1\r\ncontent-length: 3\r\n\r\n\"x\"", 200,
			map[string]string{
				"Content-Type": "application/json", "X-Restate-Id": "inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y", "Content-Length": "3",
				"Vary": "origin, access-control-request-method, access-control-request-headers", "Access-Control-Allow-Credentials": "true",
				"Access-Control-Allow-Origin": "", "Server": "", "X-Restate-Error-Source": "", "Idempotency-Expires": "",
			}, `"x"`,
		},
		{
			"repeated", "POST /Greeter/Greet" + head + "content-type: application/json\r\nidempotency-key: k1\r\ncontent-length: 0\r\n\r\n", 200,
			map[string]string{"Idempotency-Expires": "2026-11-24T00:44:58.761+00:00"}, `"x"`,
		},
		{"chunked", "POST /Greeter/any" + head + "content-type: a/b\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", 200, nil, "abc"},
		{"no output", "GET /Greeter/none" + head + "\r\n", 200, map[string]string{"Content-Type": "", "Content-Length": "0"}, ""},
		{"http 1.0", "GET /restate/health HTTP/1.0\r\n\r\n", 200, nil, `{"services":["Counter","Greeter","Hidden","Old","Wf"]}`},
		{"absolute form", "GET http://x/restate/health" + head + "\r\n", 200, nil, `{"services":["Counter","Greeter","Hidden","Old","Wf"]}`},
		{"upgrade to h2c is not followed", "GET /restate/health" + head + "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n", 200, nil, `{"services":["Counter","Greeter","Hidden","Old","Wf"]}`},
		{
			"failure", "POST /Greeter/fail" + head + "origin: http://o\r\ncontent-type: application/json\r\ncontent-length: 6\r\n\r\n409 no", 409,
			map[string]string{"X-Restate-Error-Source": "invocation", "Access-Control-Allow-Origin": "http://o", "Content-Type": "application/json"},
			`{"code":409,"message":"no","source":"invocation"}`,
		},
		{"failure code without a body", "POST /Greeter/fail" + head + "content-type: application/json\r\ncontent-length: 6\r\n\r\n204 no", 204, map[string]string{"X-Restate-Error-Source": "invocation"}, ""},
		{
			"preflight", "OPTIONS /Nope/x" + head + "origin: http://o\r\naccess-control-request-method: PUT\r\naccess-control-request-headers: a, b\r\n\r\n", 200,
			map[string]string{
				"Access-Control-Allow-Origin": "http://o", "Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "a, b",
				"Access-Control-Allow-Credentials": "true", "Content-Length": "0", "Content-Type": "",
			}, "",
		},
		{"options of all", "OPTIONS *" + head + "\r\n", 200, map[string]string{"Access-Control-Allow-Credentials": "true"}, ""},
		{"head", "HEAD /Greeter/Greet" + head + "\r\n", 405, map[string]string{"Allow": "", "X-Restate-Error-Source": "ingress"}, ""},
		{"first of a repeated header", "POST /restate/a/x/resolve" + head + "content-length: 0\r\n\r\n", 400, nil, `{"code":400,"message":"bad awakeable id 'x': bad format","source":"ingress"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp, b := s.raw(t, row.request)
			if resp.StatusCode != row.status || string(b) != row.body {
				t.Errorf("%d %q", resp.StatusCode, b)
			}
			for k, want := range row.headers {
				if got, has := resp.Header[k]; has != (want != "") || (has && (len(got) != 1 || got[0] != want)) {
					t.Errorf("%s is %q, want %q", k, got, want)
				}
			}
		})
	}
}

func TestServerForwardsHeaders(t *testing.T) { fronts(t, testServerForwardsHeaders) }

func testServerForwardsHeaders(t *testing.T, cfg ingress.Config) {
	s := startServer(t, cfg)
	s.raw(t, "POST /Greeter/any?q=%20"+head+"x-multi: one\r\nx-multi: two\r\nCookie: a\r\ncontent-type: a/b\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx")
	got := fmt.Sprint(s.c.input(s.c.last().ID).Headers)
	for _, want := range []string{`"x-restate-ingress-path" value:"/Greeter/any?q=%20"`, `"x-multi" value:"one"`, `"cookie" value:"a"`, `"content-length" value:"1"`} {
		if !strings.Contains(strings.ReplaceAll(got, "  ", " "), want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if strings.Contains(got, "two") || strings.Contains(got, "connection") || strings.Contains(got, `"host"`) {
		t.Errorf("too much is forwarded: %s", got)
	}
}

func TestServerBodyLimits(t *testing.T) { fronts(t, testServerBodyLimits) }

func testServerBodyLimits(t *testing.T, cfg ingress.Config) {
	cfg.RequestBytesMax = 5000
	s := startServer(t, cfg)
	resp, b := s.raw(t, "POST /Greeter/any"+head+"expect: 100-continue\r\norigin: o\r\ncontent-length: 5001\r\n\r\n")
	if resp.StatusCode != 413 || string(b) != "length limit exceeded" || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		resp.Header.Get("X-Restate-Error-Source") != "" || resp.Header.Get("Vary") != "" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("declared: %d %v %q", resp.StatusCode, resp.Header, b)
	}
	chunk := "1388\r\n" + strings.Repeat("x", 5000) + "\r\n"
	resp, b = s.raw(t, "POST /Greeter/any"+head+"content-type: a/b\r\ntransfer-encoding: chunked\r\n\r\n"+chunk+"0\r\n\r\n")
	if resp.StatusCode != 200 || len(b) != 5000 {
		t.Errorf("at the limit: %d with %d bytes", resp.StatusCode, len(b))
	}
	resp, b = s.raw(t, "POST /Greeter/any"+head+"content-type: a/b\r\ntransfer-encoding: chunked\r\n\r\n"+chunk+"1\r\nx\r\n0\r\n\r\n")
	var e errorShape
	if err := json.Unmarshal(b, &e); err != nil || resp.StatusCode != 413 || e.Code != 413 || e.Source != "ingress" || resp.Header.Get("Vary") == "" {
		t.Errorf("grown: %d %v %q", resp.StatusCode, resp.Header, b)
	}
}

func TestServerSpeaksHTTP2(t *testing.T) { fronts(t, testServerSpeaksHTTP2) }

func testServerSpeaksHTTP2(t *testing.T, cfg ingress.Config) {
	s := startServer(t, cfg)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: &protocols}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for _, size := range []int{0, 1, 300_000} {
		payload := bytes.Repeat([]byte("x"), size)
		resp, err := client.Post("http://"+s.addr+"/Greeter/any", "a/b", bytes.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != 200 || !bytes.Equal(b, payload) {
			t.Errorf("%s %d with %d bytes, %v", resp.Proto, resp.StatusCode, len(b), err)
		}
	}
	if text := s.page(); !strings.Contains(text, "restate_ingress_http_connection_created_total 1") {
		t.Error(text)
	}
}

// A client that goes away does not take its invocation along.
func TestServerDisconnect(t *testing.T) { fronts(t, testServerDisconnect) }

func testServerDisconnect(t *testing.T, cfg ingress.Config) {
	s := startServer(t, cfg)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /Greeter/block"+head+"content-type: application/json\r\nidempotency-key: k\r\ncontent-length: 1\r\n\r\n1"); err != nil {
		t.Fatal(err)
	}
	<-s.c.waiting
	_ = conn.Close()
	s.c.finish(s.c.last().ID, "42")
	if resp, b := s.raw(t, "GET /restate/invocation/Greeter/block/k/output"+head+"\r\n"); resp.StatusCode != 200 || string(b) != "42" {
		t.Errorf("%d %q", resp.StatusCode, b)
	}
}

func TestServerDrains(t *testing.T) { fronts(t, testServerDrains) }

func testServerDrains(t *testing.T, cfg ingress.Config) {
	for _, row := range []struct {
		name   string
		finish bool
		status int
		body   string
	}{
		{"what ends in time is answered", true, 200, `"late"`},
		{"what does not is told to come again", false, 503, "shutting down"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startServer(t, cfg)
			var resp *http.Response
			var b []byte
			done := inBackground(t, func() {
				resp, b = s.raw(t, "POST /Greeter/block"+head+"content-type: application/json\r\ncontent-length: 1\r\n\r\n1")
			})
			<-s.c.waiting
			s.stop()
			s.refuses() // the drain has begun
			if row.finish {
				s.c.finish(s.c.last().ID, `"late"`)
			} else {
				s.clock.Advance(millis(5000))
			}
			<-done
			if err := s.ended.Wait(); err != nil {
				t.Error(err)
			}
			if resp.StatusCode != row.status || !strings.Contains(string(b), row.body) {
				t.Errorf("%d %s", resp.StatusCode, b)
			}
		})
	}
}

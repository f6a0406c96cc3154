package ingress_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"reprise/pkg/ingress"
)

// client is one connection.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (s *running) dial(t *testing.T) *client {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one response.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: http.MethodPost})
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(b)
}

func (c *client) want(status int, body string) {
	c.t.Helper()
	if resp, b := c.answer(); resp.StatusCode != status || b != body {
		c.t.Errorf("%d %.200q, want %d %.200q", resp.StatusCode, b, status, body)
	}
}

// ended checks that the server has closed the connection.
func (c *client) ended() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Errorf("after the last answer: %q, %v", b, err)
	}
}

func anyCall(body string, headers ...string) string {
	return fmt.Sprintf("POST /Greeter/any%scontent-type: a/b\r\n%scontent-length: %d\r\n\r\n%s", head, strings.Join(headers, ""), len(body), body)
}

const blockingCall = "POST /Greeter/block" + head + "content-type: application/json\r\nidempotency-key: k\r\ncontent-length: 1\r\n\r\n1"

// A connection carries requests of any kind, one after the other or all at once.
func TestServerKeepsConnections(t *testing.T) {
	fronts(t, func(t *testing.T, cfg ingress.Config) {
		s := startServer(t, cfg)
		long := strings.Repeat("y", 200_000)
		chunked := "POST /Greeter/any" + head + "content-type: a/b\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		c := s.dial(t)
		for i := range 3 {
			body := fmt.Sprint("body ", i)
			c.send(anyCall(body))
			c.want(200, body)
		}
		c.send(anyCall("1") + anyCall("22") + "GET /Greeter/none" + head + "\r\n" + anyCall(long) + anyCall("5"))
		for _, body := range []string{"1", "22", "", long, "5"} {
			c.want(200, body)
		}
		for _, b := range anyCall("byte by byte") {
			c.send(string(b))
		}
		c.want(200, "byte by byte")
		c.send("POST /Nope/x" + head + "content-length: 20\r\n\r\n")
		c.send("twenty bytes of body" + anyCall("after a body that nobody read"))
		if resp, _ := c.answer(); resp.StatusCode != 404 {
			t.Errorf("%d", resp.StatusCode)
		}
		c.want(200, "after a body that nobody read")
		c.send(anyCall("before") + chunked + anyCall("after") + anyCall(strings.Repeat("z", 300_000)))
		for _, body := range []string{"before", "abc", "after", strings.Repeat("z", 300_000)} {
			c.want(200, body)
		}
		last := s.dial(t)
		last.send(anyCall("last", "connection: close\r\n") + anyCall("not read"))
		if resp, b := last.answer(); resp.StatusCode != 200 || b != "last" || !resp.Close {
			t.Errorf("%d %q, close %v", resp.StatusCode, b, resp.Close)
		}
		if text := s.page(); !strings.Contains(text, "restate_ingress_http_connection_created_total 2") {
			t.Error(text)
		}
	})
}

// Both fronts give the same answers, whatever is wrong.
func TestFrontsAgree(t *testing.T) {
	one, two := ingress.Default(), ingress.Default()
	two.NetHTTPOnly = true
	plain, other := startServer(t, one), startServer(t, two)
	for _, request := range []string{
		anyCall("x"), anyCall(strings.Repeat("x", 100_000)), anyCall("x", "origin: http://o\r\n"), anyCall("x", "connection: close\r\n"),
		anyCall("x", "x-foo: caf\xc3\xa9\r\n"), anyCall("x", "x-foo: \x7f\r\n"), anyCall("x", "no colon\r\n"), anyCall("x", "a b: c\r\n"),
		anyCall("x", "host: y\r\n"), anyCall("x", "content-length: 2\r\n"), anyCall("x", "expect: nothing\r\n"),
		strings.Replace(anyCall("x"), "host: x", "x: x", 1), strings.Replace(anyCall("x"), "HTTP/1.1", "HTTP/1.0", 1),
		strings.Replace(anyCall("x"), "HTTP/1.1", "HTTP/3.0", 1), strings.Replace(anyCall("x"), "\r\n", "\n", 2),
		strings.Replace(anyCall("x"), "POST", "PUT", 1), strings.Replace(anyCall("x"), "POST", "OPTIONS", 1), strings.Replace(anyCall("x"), "POST", "PO ST", 1),
		"POST /Greeter/fail" + head + "content-type: application/json\r\ncontent-length: 6\r\n\r\n409 no",
		"POST /Greeter/fail" + head + "content-type: application/json\r\ncontent-length: 6\r\n\r\n204 no",
		"POST /Greeter/fail" + head + "content-type: application/json\r\ncontent-length: 6\r\n\r\n304 no",
		"POST /Greeter/fail" + head + "content-type: application/json\r\ncontent-length: 6\r\n\r\n799 no",
		"POST /Wf/w/run/send" + head + "content-type: application/json\r\ncontent-length: 1\r\n\r\n1",
		"GET /restate/workflow/Wf/w/output" + head + "\r\n", "GET /restate/health" + head + "\r\n", "GET /Greeter/none" + head + "\r\n",
		"GET /" + head + "\r\n", "GET /" + strings.Repeat("a", 10_000) + head + "\r\n", "GET /a" + head + strings.Repeat("x-a: b\r\n", 200) + "\r\n",
		"POST /Greeter/any" + head + "content-length: 99999999\r\norigin: o\r\n\r\n",
	} {
		type answer struct {
			status string
			header http.Header
			body   string
			close  bool
		}
		var got [2]answer
		for i, s := range []*running{plain, other} {
			resp, b := s.raw(t, request)
			resp.Header.Del("date")
			if resp.Header.Get("idempotency-key") == "" && resp.Header.Get("x-restate-id") != "" && !strings.Contains(request, "/Wf/") {
				resp.Header.Set("x-restate-id", "made up")
			}
			got[i] = answer{resp.Status, resp.Header, string(b), resp.Close}
		}
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%.100q\nplain    %v\nnet/http %v", request, got[0], got[1])
		}
	}
}

// A client that goes away gives its place back, although nobody reads its connection while it waits.
func TestServerNoticesDepartures(t *testing.T) {
	fronts(t, func(t *testing.T, cfg ingress.Config) {
		s := startServer(t, cfg)
		c := s.dial(t)
		c.send(blockingCall)
		<-s.c.waiting
		_ = c.conn.Close()
		for range 2 { // the first sweep marks it
			s.clock.Await(1)
			s.clock.Advance(millis(1000))
		}
		<-s.c.left
	})
}

// What a client sends while it waits for long is the next request.
func TestServerReadsAhead(t *testing.T) {
	s := startServer(t, ingress.Default())
	for _, next := range []string{anyCall("next"), strings.Replace(anyCall("next"), "POST", "PUT", 1)} {
		c := s.dial(t)
		c.send(strings.Replace(blockingCall, "key: k", "key: "+next[:3], 1))
		<-s.c.waiting
		for range 3 {
			s.clock.Await(1)
			s.clock.Advance(millis(1000))
		}
		c.send(next)
		s.c.finish(s.c.last().ID, "42")
		c.want(200, "42")
		if next[:4] == "POST" {
			c.want(200, "next")
			c.send(anyCall("again"))
			c.want(200, "again")
			continue
		}
		if resp, _ := c.answer(); resp.StatusCode != 405 {
			t.Errorf("%d", resp.StatusCode)
		}
	}
}

// A client has 30 s for a head; a connection may be idle for ever.
func TestServerSlowClients(t *testing.T) {
	s := startServer(t, ingress.Default())
	silent, slow, idle := s.dial(t), s.dial(t), s.dial(t)
	for _, c := range []*client{slow, idle} {
		c.send(anyCall("x"))
		c.want(200, "x")
	}
	slow.send(anyCall("x")[:50])
	eventually(t, "the head has begun", func() bool { return s.server.AwaitedHeads() == 2 })
	for range 31 {
		s.clock.Await(1)
		s.clock.Advance(millis(1000))
	}
	slow.ended()
	silent.ended()
	idle.send(anyCall("x"))
	idle.want(200, "x")
}

// A body that does not come to its end creates nothing.
func TestServerCutBody(t *testing.T) {
	fronts(t, func(t *testing.T, cfg ingress.Config) {
		s := startServer(t, cfg)
		c := s.dial(t)
		c.send(strings.TrimSuffix(anyCall(strings.Repeat("x", 20_000)), "x"))
		if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		resp, b := c.answer()
		if resp.StatusCode != 500 || !strings.Contains(b, "cannot read body: unexpected EOF") {
			t.Errorf("%d %q", resp.StatusCode, b)
		}
		c.ended()
		if len(s.c.records) != 0 {
			t.Error("a record was proposed")
		}
	})
}

// Idle connections end when the server does, and answers of the last requests say so.
func TestServerDrainsConnections(t *testing.T) {
	fronts(t, func(t *testing.T, cfg ingress.Config) {
		s := startServer(t, cfg)
		idle, busy, half := s.dial(t), s.dial(t), s.dial(t)
		idle.send(anyCall("x"))
		idle.want(200, "x")
		busy.send(blockingCall)
		<-s.c.waiting
		waits := s.c.last().ID
		half.send(anyCall("x"))
		half.want(200, "x")
		s.stop()
		s.refuses()
		idle.ended()
		s.c.finish(waits, `"late"`)
		resp, b := busy.answer()
		if resp.StatusCode != 200 || b != `"late"` || !resp.Close {
			t.Errorf("%d %q, close %v", resp.StatusCode, b, resp.Close)
		}
		busy.ended()
		half.ended()
		if err := s.ended.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// repeatingConn is a connection whose client sends one request again and again.
type repeatingConn struct {
	net.Conn
	request  []byte
	left     int
	answered bytes.Buffer
}

func (c *repeatingConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	return copy(b, c.request), nil
}

func (c *repeatingConn) Write(b []byte) (int, error) {
	c.answered.Reset()
	return c.answered.Write(b)
}

// plainAllocations is the budget of a plain echo: the text of its head, and that of the core.
const plainAllocations = 1 + ingress.EchoAllocations

func TestPlainAllocations(t *testing.T) {
	if ingress.RaceDetector {
		t.Skip("the race detector allocates")
	}
	conn := &repeatingConn{request: []byte("POST /Echo/echo HTTP/1.1\r\nhost: localhost:8080\r\nuser-agent: x\r\ncontent-type: application/json\r\naccept: */*\r\ncontent-length: 7\r\n\r\n\"hello\"")}
	serve := ingress.PlainEcho(t, conn)
	const requests = 1000
	n := testing.AllocsPerRun(5, func() {
		conn.left = requests
		serve()
	})
	if !strings.HasPrefix(conn.answered.String(), "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(conn.answered.String(), "\r\n\r\n\"hello\"") {
		t.Fatalf("%q", conn.answered.String())
	}
	if got := n / requests; got > plainAllocations+0.05 { // and some for the connection
		t.Errorf("%.2f allocations for a plain echo, the budget is %d", got, plainAllocations)
	}
}

// A panic costs the connection whose request caused it, and nothing else.
func TestServerSurvivesPanics(t *testing.T) {
	fronts(t, func(t *testing.T, cfg ingress.Config) {
		s := startServer(t, cfg)
		other, c := s.dial(t), s.dial(t)
		other.send(anyCall("before"))
		other.want(200, "before")
		s.c.setBroken(true)
		c.send(anyCall("boom"))
		c.ended()
		s.c.setBroken(false)
		other.send(anyCall("after"))
		other.want(200, "after")
	})
}

package invoker

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// rawEndpoint serves connections with f, which is given what no HTTP library would send.
func rawEndpoint(t *testing.T, f func(c net.Conn)) string {
	t.Helper()
	ln := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	g := lifecycle.NewGroup(context.Background())
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	g.Go("listener", func(context.Context) error {
		for {
			c, err := ln.Accept()
			if err != nil {
				return nil // closed
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			g.Go("connection", func(context.Context) error {
				f(c)
				_ = c.Close()
				return nil
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		_ = g.Wait()
	})
	return "http://" + ln.Addr().String()
}

// pass lets time go by until cond holds.
func (l *loop) pass(what string, cond func() bool) {
	l.t.Helper()
	l.spin(what, func() bool {
		if cond() {
			return true
		}
		runtime.Gosched()
		l.advance(time.Second)
		return false
	})
}

// beside has a hostile endpoint serve X/h, and an honest one S/h: an invocation of the latter is open meanwhile, and
// another one begins.
func beside(t *testing.T, uri string, http1 bool) {
	t.Helper()
	begun, finish := make(chan struct{}), make(chan struct{})
	honest := deployment(1, endpoint(t, func(p *peer) {
		if p.Input() == "open" {
			close(begun)
			<-finish
		}
		output(p, "ok")
	}, false))
	hour := (1000 * time.Hour).Milliseconds()
	honest.Services[0].Options.InactivityTimeoutMs, honest.Services[0].Options.AbortTimeoutMs = &hour, &hour
	hostile := deployment(2, uri)
	hostile.Http1 = http1
	hostile.Services = hostile.Services[:1]
	hostile.Services[0].Name = "X"
	l := newLoop(t, "", patient)
	end := sync.OnceFunc(func() { close(finish) })
	defer end()
	l.register(honest, hostile)
	victim := l.invoke(service("h"), "open")
	l.settle("begun", begun)
	bad := make([]id.Invocation, 3)
	for n := range bad {
		bad[n] = l.invoke(&storedv1.Target{Service: "X", Handler: "h", ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE}, strings.Repeat("x", 100<<10))
	}
	l.turn()
	l.wantValue(l.invoke(service("h"), ""), "ok")
	for _, i := range bad {
		l.pass("the hostile one is paused", func() bool { return l.status(i) == paused })
	}
	l.wantValue(l.invoke(service("h"), ""), "ok")
	if s := l.runState(victim); s != stateRunning {
		t.Fatalf("the open one is in state %d", s)
	}
	if a := l.v.runs[victim].attempt; a.number != 1 {
		t.Fatalf("the open one is at attempt %d", a.number)
	}
	end()
	l.wantValue(victim, "ok")
	l.pass("all given back", func() bool { n, _ := l.v.limits.Held(); return n == 0 && len(l.v.runs) == 0 })
	l.wantNothingHeld()
}

// patient keeps connections although time flies.
func patient(l *loop, _ *storedv1.Deployment) {
	l.cfg.HTTP2.KeepAliveInterval, l.cfg.HTTP2.IdleTimeout = 1000*time.Hour, 1000*time.Hour
}

// drainTo reads what the engine sends.
func drainTo(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestHostileHTTP1Endpoints(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.restate.invocation.v6\r\n"
	// after reads the head of a request, answers, and stays.
	after := func(text string) func(c net.Conn) {
		return func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, text)
			}
			drainTo(c)
		}
	}
	endless := func(first, more string) func(c net.Conn) {
		return func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			_, err := io.WriteString(c, first)
			for err == nil {
				_, err = io.WriteString(c, more)
			}
		}
	}
	for name, f := range map[string]func(c net.Conn){
		"closes at once":       func(net.Conn) {},
		"closes after a byte":  func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) },
		"never reads":          func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 8<<20)) },
		"never answers":        drainTo,
		"garbage":              after("\x00\x01\x02 garbage\r\n\r\n"),
		"endless garbage":      endless("", strings.Repeat("\xee", 1000)),
		"header bomb":          endless("HTTP/1.1 200 OK\r\n", "x: "+strings.Repeat("y", 1000)+"\r\n"),
		"one header, endless":  endless("HTTP/1.1 200 OK\r\nx: ", strings.Repeat("y", 1000)),
		"endless 100":          endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
		"bad status":           after("HTTP/1.1 99999 Yes\r\n\r\n"),
		"two lengths":          after(ok + "content-length: 1\r\ncontent-length: 2\r\n\r\nx"),
		"bad chunk":            after(ok + "transfer-encoding: chunked\r\n\r\nzz\r\n"),
		"endless chunk size":   endless(ok+"transfer-encoding: chunked\r\n\r\n", "0000000000000000"),
		"body that never ends": after(ok + "content-length: 1000000\r\n\r\nx"),
		"endless body":         endless(ok+"\r\n", strings.Repeat("\xee", 1000)),
		"upgrade":              after("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
		"slow headers": func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nx: ")
			drainTo(c)
		},
	} {
		t.Run(name, func(t *testing.T) { beside(t, rawEndpoint(t, f), true) })
	}
}

func TestHostileHTTP2Endpoints(t *testing.T) {
	// framed greets as an HTTP/2 server, and acts at each request.
	framed := func(do func(c net.Conn, fr *http2.Framer, stream uint32), settings ...http2.Setting) func(c net.Conn) {
		return func(c net.Conn) {
			if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
				return
			}
			fr := http2.NewFramer(c, c)
			if fr.WriteSettings(settings...) != nil {
				return
			}
			for {
				f, err := fr.ReadFrame()
				if err != nil {
					return
				}
				if h, ok := f.(*http2.HeadersFrame); ok {
					do(c, fr, h.StreamID)
				}
			}
		}
	}
	bomb := func() []byte { // one large entry of the table, referred to again and again
		var b bytes.Buffer
		enc := hpack.NewEncoder(&b)
		_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
		_ = enc.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 4000)})
		return append(b.Bytes(), bytes.Repeat([]byte{0xbe}, 10_000)...)
	}()
	for name, f := range map[string]func(c net.Conn){
		"closes at once":  func(net.Conn) {},
		"never reads":     func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 8<<20)) },
		"never answers":   framed(func(net.Conn, *http2.Framer, uint32) {}),
		"garbage":         func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte{0xee}, 1000)); drainTo(c) },
		"garbage later":   framed(func(c net.Conn, _ *http2.Framer, _ uint32) { _, _ = c.Write(bytes.Repeat([]byte{0xee}, 1000)) }),
		"no window":       framed(func(net.Conn, *http2.Framer, uint32) {}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}),
		"no streams":      framed(func(net.Conn, *http2.Framer, uint32) {}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0}),
		"leaves at once":  framed(func(_ net.Conn, fr *http2.Framer, _ uint32) { _ = fr.WriteGoAway(0, http2.ErrCodeNo, nil) }),
		"refuses streams": framed(func(_ net.Conn, fr *http2.Framer, s uint32) { _ = fr.WriteRSTStream(s, http2.ErrCodeRefusedStream) }),
		"header bomb": framed(func(_ net.Conn, fr *http2.Framer, s uint32) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: bomb, EndHeaders: true})
		}),
		"endless headers": framed(func(_ net.Conn, fr *http2.Framer, s uint32) {
			err := fr.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: []byte{0x88}})
			for err == nil {
				err = fr.WriteContinuation(s, false, []byte{0x40, 1, 'x', 1, 'y'})
			}
		}),
		"flood of pings": framed(func(_ net.Conn, fr *http2.Framer, _ uint32) {
			for err := error(nil); err == nil; {
				err = fr.WritePing(false, [8]byte{})
			}
		}),
		"data without a window": framed(func(_ net.Conn, fr *http2.Framer, s uint32) {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: []byte{0x88}, EndHeaders: true})
			for err := error(nil); err == nil; {
				err = fr.WriteData(s, false, make([]byte, 16<<10))
			}
		}),
	} {
		t.Run(name, func(t *testing.T) { beside(t, rawEndpoint(t, f), false) })
	}
}

// On one connection, what some invocations' handlers send does not matter to others.
func TestHostileHandlersOfOneEndpoint(t *testing.T) {
	slow := func(p *peer, b ...byte) {
		p.Headers()
		_, _ = p.Writer.Write(b)
		_ = p.Control.Flush()
		hang(p)
	}
	hostile := map[string]func(p *peer){
		"commands after the end": func(p *peer) { p.Send(partitiontest.End(), partitiontest.Run(1)) },
		"twice the same run":     func(p *peer) { p.Send(partitiontest.Run(1), partitiontest.Run(1), partitiontest.End()) },
		"unknown proposals":      func(p *peer) { p.Send(proposal(999, "x"), proposal(1<<31, "y"), raw(0x0100, nil)) },
		"waits for the unknown":  func(p *peer) { p.Send(partitiontest.Suspension([]uint32{77, 1 << 31}, []uint32{1 << 30})) },
		"huge length":            func(p *peer) { p.Send([]byte{4, 1, 0, 0, 0xff, 0xff, 0xff, 0xff}) },
		"large length, then nothing": func(p *peer) {
			slow(p, 4, 1, 0, 0, 1, 0xff, 0xff, 0xff)
		},
		"half a header, then nothing": func(p *peer) { slow(p, 4, 1) },
		"nothing":                     func(p *peer) { slow(p) },
		"garbage":                     func(p *peer) { p.Send(bytes.Repeat([]byte{4, 0xee}, 5000)) },
		"endless garbage": func(p *peer) {
			p.Headers()
			for err := error(nil); err == nil; {
				_, err = p.Writer.Write(bytes.Repeat([]byte{0}, 8000))
			}
		},
		"response headers": func(p *peer) {
			p.Writer.Header().Set("x-large", strings.Repeat("y", 100<<10))
			p.Writer.WriteHeader(200)
		},
		"panic":      func(*peer) { panic(http.ErrAbortHandler) },
		"wrong keys": func(p *peer) { p.Send(raw(serviceproto.TypeCall, []byte{0x0a, 1, 0xff}), partitiontest.End()) },
		"error of garbage": func(p *peer) {
			p.Send(errorMessage(&servicev1.Error{Code: 1 << 31, Message: strings.Repeat("m", 100<<10), NextRetryDelay: new(uint64(1 << 62))}))
		},
		"tree of signals": func(p *peer) { p.Send(raw(serviceproto.TypeSuspension, bytes.Repeat([]byte{0x10, 1}, 5000))) },
	}
	for _, http1 := range []bool{false, true} {
		begun, finish := make(chan struct{}), make(chan struct{})
		var once sync.Once
		l := newLoop(t, endpoint(t, func(p *peer) {
			switch f := hostile[p.Input()]; {
			case f != nil:
				f(p)
			case p.Input() == "open":
				once.Do(func() { close(begun) })
				<-finish
				output(p, "ok")
			default:
				output(p, "ok")
			}
		}, false), func(l *loop, d *storedv1.Deployment) {
			d.Http1 = http1
			patient(l, d)
			hour, minute := (1000 * time.Hour).Milliseconds(), int64(60_000)
			d.Services[0].Options.InactivityTimeoutMs, d.Services[0].Options.AbortTimeoutMs = &minute, &minute
			d.Services[0].Handlers[1].Options = &storedv1.Options{InactivityTimeoutMs: &hour, AbortTimeoutMs: &hour}
		})
		end := sync.OnceFunc(func() { close(finish) })
		defer end()
		victim := l.invoke(service("other"), "open")
		l.settle("begun", begun)
		for name := range hostile {
			i := l.invoke(service("h"), name)
			l.pass(name, func() bool {
				s := l.status(i)
				return s == paused || s == suspended || name == "error of garbage" && l.runState(i) == stateBackoff
			})
			if l.runState(i) == stateBackoff { // for a year, as it asked for
				l.v.Stop(i, l.v.runs[i].Activation.Activation)
			}
			l.wantValue(l.invoke(service("other"), ""), "ok")
		}
		if r := l.v.runs[victim]; r == nil || r.state != stateRunning || r.attempt.number != 1 {
			t.Fatalf("the open one was disturbed (http1 %t): %v", http1, r.failure)
		}
		end()
		l.wantValue(victim, "ok")
		l.pass("all given back", func() bool { n, _ := l.v.limits.Held(); return n == 0 && len(l.v.runs) == 0 })
		l.wantNothingHeld()
	}
}

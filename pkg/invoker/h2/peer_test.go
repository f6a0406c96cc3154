package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reprise/pkg/host"
)

// rawPeer is an endpoint that a test drives frame by frame.
type rawPeer struct {
	t  *testing.T
	nc net.Conn
	fr *http2.Framer
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func accept(t *testing.T, l net.Listener, settings ...http2.Setting) *rawPeer {
	t.Helper()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(wait))
	preface := make([]byte, len(clientPreface))
	if _, err := io.ReadFull(nc, preface); err != nil || string(preface) != clientPreface {
		t.Fatalf("preface %q, %v", preface, err)
	}
	p := &rawPeer{t: t, nc: nc, fr: http2.NewFramer(nc, nc)}
	p.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := p.fr.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return p
}

// next returns the next frame of one of the types given, skipping others.
func (p *rawPeer) next(types ...http2.FrameType) http2.Frame {
	p.t.Helper()
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			p.t.Fatalf("no frame of %v: %v", types, err)
		}
		for _, want := range types {
			if f.Header().Type == want {
				return f
			}
		}
	}
}

func (p *rawPeer) headers(id uint32, end bool, fields ...string) {
	p.t.Helper()
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	enc.SetMaxDynamicTableSize(0)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end}); err != nil {
		p.t.Fatal(err)
	}
}

func TestTinyWindowOfThePeer(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	first := newExchange()
	f.open(first)
	f.client.Flush()
	p := accept(t, l, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	p.next(http2.FrameHeaders)
	// Only when the acknowledgement is there does the client know the window.
	for !p.next(http2.FrameSettings).(*http2.SettingsFrame).IsAck() {
	}
	second := newExchange()
	f.open(second)
	f.write(&first.stream, []byte("abcdefgh"), true)
	f.write(&second.stream, []byte("xy"), true)
	got := map[uint32]string{}
	read := func() *http2.DataFrame {
		d := p.next(http2.FrameData).(*http2.DataFrame)
		got[d.StreamID] += string(d.Data())
		return d
	}
	read()
	if d := read(); !d.StreamEnded() || got[1] != "abc" || got[3] != "xy" {
		t.Fatalf("got %v, end %v", got, d.StreamEnded())
	}
	if n := first.stream.Pending(); n != 5 {
		t.Fatalf("%d bytes pending, want 5", n)
	}
	_ = p.fr.WriteWindowUpdate(1, 4)
	if read(); got[1] != "abcdefg" {
		t.Fatalf("got %v", got)
	}
	_ = p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
	if d := read(); got[1] != "abcdefgh" || !d.StreamEnded() {
		t.Fatalf("got %v, end %v", got, d.StreamEnded())
	}
	p.headers(1, false, ":status", "200")
	_ = p.fr.WriteData(1, true, []byte("ok"))
	if err := f.closed(first); err != nil || string(first.seen()) != "ok" {
		t.Fatalf("%q, %v", first.seen(), err)
	}
}

func TestFinishDropsWhatIsPending(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	e := newExchange()
	f.open(e)
	f.client.Flush()
	p := accept(t, l, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	for !p.next(http2.FrameSettings).(*http2.SettingsFrame).IsAck() {
	}
	f.write(&e.stream, []byte("ab"), false)
	p.next(http2.FrameData)
	spare := make(chan struct{}, 1)
	e.stream.NotifySpare(spare)
	e.stream.Finish()
	e.stream.Flush()
	if d := p.next(http2.FrameData).(*http2.DataFrame); !d.StreamEnded() || len(d.Data()) != 0 {
		t.Fatalf("got %q, end %v", d.Data(), d.StreamEnded())
	}
	<-spare
}

func TestPeerRefusesAndLeaves(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	a, b, c := newExchange(), newExchange(), newExchange()
	f.open(a)
	f.open(b)
	f.open(c)
	f.client.Flush()
	p := accept(t, l)
	p.next(http2.FrameHeaders)
	_ = p.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
	_ = p.fr.WriteGoAway(3, http2.ErrCodeNo, nil)
	if err := f.closed(a); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	if err := f.closed(c); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	d := newExchange() // must go to another connection
	f.write(f.open(d), nil, true)
	p2 := accept(t, l)
	if h := p2.next(http2.FrameHeaders).(*http2.MetaHeadersFrame); h.StreamID != 1 {
		t.Fatalf("stream %d on the new connection", h.StreamID)
	}
	_ = p.fr.WriteRSTStream(3, http2.ErrCodeInternal)
	var re ResetError
	if err := f.closed(b); !errors.As(err, &re) || re.Code != http2.ErrCodeInternal {
		t.Fatal(err)
	}
}

func TestHeadersInPiecesAndTrailers(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	e := newExchange()
	f.write(f.open(e), nil, true)
	p := accept(t, l)
	p.next(http2.FrameHeaders)
	p.headers(1, false, ":status", "103", "link", "x")
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = enc.WriteField(hpack.HeaderField{Name: "x-long", Value: string(bytes.Repeat([]byte("v"), 100))})
	block := b.Bytes()
	_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:5]})
	_ = p.fr.WriteContinuation(1, false, block[5:9])
	_ = p.fr.WriteContinuation(1, true, block[9:])
	_ = p.fr.WriteDataPadded(1, false, []byte("body"), make([]byte, 20))
	p.headers(1, true, "x-trailer", "1")
	if err := f.closed(e); err != nil {
		t.Fatal(err)
	}
	if e.status != 200 || len(e.fields["x-long"]) != 100 || string(e.body) != "body" || e.fields["x-trailer"] != "" {
		t.Fatalf("status %d, fields %v, body %q", e.status, e.fields, e.body)
	}
}

func TestLongRequestHeadersAreSplit(t *testing.T) {
	got := make(chan int, 1)
	f := start(t, Default(), serve(t, func(_ http.ResponseWriter, r *http.Request) {
		got <- len(r.Header.Get("x-key"))
	}, nil))
	e := newExchange()
	key := string(bytes.Repeat([]byte("k"), 50_000))
	if err := f.target.Open(&e.stream, e, f.head, []Field{{Name: "x-key", Value: key}}); err != nil {
		t.Fatal(err)
	}
	f.write(&e.stream, nil, true)
	if err := f.closed(e); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != len(key) {
		t.Fatalf("%d bytes of header arrived", n)
	}
}

// A fault of one stream ends that stream; a fault of the connection ends all of it, and only it.
func TestFaultsOfThePeer(t *testing.T) {
	cases := []struct {
		name string
		do   func(p *rawPeer)
		both bool
	}{
		{"data before headers", func(p *rawPeer) { _ = p.fr.WriteData(1, false, []byte("x")) }, false},
		{"no status", func(p *rawPeer) { p.headers(1, false, "x", "y") }, false},
		{"end with informational", func(p *rawPeer) { p.headers(1, true, ":status", "100") }, false},
		{"second headers without end", func(p *rawPeer) {
			p.headers(1, false, ":status", "200")
			p.headers(1, false, ":status", "200")
		}, false},
		{"data after end", func(p *rawPeer) {
			p.headers(1, true, ":status", "200")
			_ = p.fr.WriteData(1, false, []byte("x"))
		}, false},
		{"header larger than allowed", func(p *rawPeer) {
			var b bytes.Buffer
			enc := hpack.NewEncoder(&b)
			_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			_ = enc.WriteField(hpack.HeaderField{Name: "x", Value: string(bytes.Repeat([]byte{'y'}, 200<<10))})
			_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b.Next(16 << 10)})
			for b.Len() > 0 {
				part := b.Next(16 << 10)
				_ = p.fr.WriteContinuation(1, b.Len() == 0, part)
			}
		}, false},
		{"window overflow of a stream", func(p *rawPeer) { _ = p.fr.WriteWindowUpdate(1, windowMax) }, false},
		{"window overflow of the connection", func(p *rawPeer) { _ = p.fr.WriteWindowUpdate(0, windowMax) }, true},
		{"push", func(p *rawPeer) {
			_ = p.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: []byte{0x82}, EndHeaders: true})
		}, true},
		{"bad header block", func(p *rawPeer) {
			_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}, true},
		{"stream that was never opened", func(p *rawPeer) { p.headers(99, false, ":status", "200") }, true},
		{"frame larger than allowed", func(p *rawPeer) { _ = p.fr.WriteData(1, false, make([]byte, 20_000)) }, true},
		{"garbage", func(p *rawPeer) { _, _ = p.nc.Write(bytes.Repeat([]byte{0xee}, 64)) }, true},
		{"endless headers", func(p *rawPeer) {
			_ = p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}})
			for range 20_000 {
				if p.fr.WriteContinuation(1, false, nil) != nil {
					return
				}
			}
		}, true},
		{"closed in the middle", func(p *rawPeer) {
			p.headers(1, false, ":status", "200")
			_ = p.nc.Close()
		}, true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			l := listen(t)
			f := start(t, Default(), "http://"+l.Addr().String())
			bad, good := newExchange(), newExchange()
			f.open(bad)
			f.open(good)
			f.client.Flush()
			p := accept(t, l)
			p.next(http2.FrameHeaders)
			p.next(http2.FrameHeaders)
			tc.do(p)
			if err := f.closed(bad); err == nil {
				t.Fatal("no error")
			}
			if tc.both {
				if err := f.closed(good); err == nil {
					t.Fatal("the other stream ended without an error")
				}
				return
			}
			f.write(&good.stream, nil, true)
			for !p.next(http2.FrameData).(*http2.DataFrame).StreamEnded() {
			}
			p.headers(3, false, ":status", "200")
			_ = p.fr.WriteData(3, true, []byte("ok"))
			if err := f.closed(good); err != nil || string(good.seen()) != "ok" {
				t.Fatalf("the other stream: %q, %v", good.seen(), err)
			}
		})
	}
}

func TestHTTP1PeerIsRecognised(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	e := newExchange()
	f.write(f.open(e), nil, true)
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
	if err := f.closed(e); !errors.Is(err, ErrNotHTTP2) {
		t.Fatal(err)
	}
	_ = nc.Close()
}

func TestKeepAliveAndIdleClose(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	e := newExchange()
	f.write(f.open(e), nil, true)
	p := accept(t, l)
	p.next(http2.FrameHeaders)
	p.headers(1, true, ":status", "200")
	if err := f.closed(e); err != nil {
		t.Fatal(err)
	}
	tick := func(d time.Duration) {
		f.clock.Advance(d)
		f.client.Tick(host.Millis(f.clock))
	}
	tick(41 * time.Second)
	ping := p.next(http2.FramePing).(*http2.PingFrame)
	f.clock.Advance(time.Second)
	_ = p.fr.WritePing(true, ping.Data)
	_ = p.fr.WritePing(false, [8]byte{7}) // its answer tells that the first one was read
	if pong := p.next(http2.FramePing).(*http2.PingFrame); !pong.IsAck() || pong.Data[0] != 7 {
		t.Fatalf("got %v", pong)
	}
	tick(19 * time.Second) // answered: it lives
	if f.target.Conns() != 1 {
		t.Fatal("a connection that answers was closed")
	}
	tick(5 * time.Minute)
	p.next(http2.FrameGoAway)
	if _, err := p.fr.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Fatalf("the idle connection was not closed: %v", err)
	}
}

func TestSilentPeerIsCutOff(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	e := newExchange()
	f.write(f.open(e), nil, false)
	p := accept(t, l)
	p.next(http2.FrameHeaders)
	for !p.next(http2.FrameSettings).(*http2.SettingsFrame).IsAck() {
	}
	f.clock.Advance(41 * time.Second)
	f.client.Tick(host.Millis(f.clock))
	p.next(http2.FramePing)
	f.clock.Advance(21 * time.Second)
	f.client.Tick(host.Millis(f.clock))
	if err := f.closed(e); !errors.Is(err, errKeepAlive) {
		t.Fatal(err)
	}
}

func TestNoStreamsAllowed(t *testing.T) {
	l := listen(t)
	f := start(t, Default(), "http://"+l.Addr().String())
	e := newExchange()
	f.write(f.open(e), nil, false)
	p := accept(t, l, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
	for !p.next(http2.FrameSettings).(*http2.SettingsFrame).IsAck() {
	}
	e2 := newExchange()
	if err := f.target.Open(&e2.stream, e2, f.head, nil); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
}

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Fatal("a zero configuration is valid")
	}
}

package h2

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reprise/pkg/host/hosttest"
)

// bytesConn is a peer that has sent all it will.
type bytesConn struct {
	net.Conn
	in *bytes.Reader
}

func (c *bytesConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *bytesConn) Write(p []byte) (int, error) { return len(p), nil }
func (c *bytesConn) Close() error                { return nil }

// onceHandler checks what a Handler may rely on.
type onceHandler struct {
	t                     *testing.T
	s                     *Stream
	headed, ended, closed bool
	credit                bool
}

func (h *onceHandler) must(ok bool, what string) {
	if !ok || h.closed {
		h.t.Fatalf("%s at the wrong time (closed: %v)", what, h.closed)
	}
}

func (h *onceHandler) Header(*Response) { h.must(!h.headed, "Header"); h.headed = true }
func (h *onceHandler) Drained()         { h.must(h.headed, "Drained") }
func (h *onceHandler) Ended()           { h.must(h.headed && !h.ended, "Ended"); h.ended = true }
func (h *onceHandler) Closed(error)     { h.must(true, "Closed"); h.closed = true }
func (h *onceHandler) Data(b []byte) {
	h.must(h.headed && !h.ended && len(b) > 0, "Data")
	if h.credit {
		h.s.Credit(len(b))
	}
}

// Whatever a peer sends, each stream is closed once, calls come in order, and nothing breaks.
func FuzzReader(f *testing.F) {
	seed := func(do func(fr *http2.Framer)) {
		var b bytes.Buffer
		fr := http2.NewFramer(&b, nil)
		_ = fr.WriteSettings()
		do(fr)
		f.Add(b.Bytes())
	}
	var block bytes.Buffer
	_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	head := http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}
	seed(func(fr *http2.Framer) {
		_ = fr.WriteHeaders(head)
		_ = fr.WriteData(1, false, []byte("hello"))
		_ = fr.WriteDataPadded(1, true, []byte("x"), make([]byte, 3))
		_ = fr.WriteRSTStream(3, http2.ErrCodeCancel)
		_ = fr.WriteWindowUpdate(0, 100)
		_ = fr.WriteWindowUpdate(5, 100)
		_ = fr.WritePing(false, [8]byte{})
		_ = fr.WriteGoAway(1, http2.ErrCodeNo, nil)
	})
	seed(func(fr *http2.Framer) {
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0},
			http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block.Bytes()[:1]})
		_ = fr.WriteContinuation(3, true, block.Bytes()[1:])
		_ = fr.WriteWindowUpdate(3, windowMax)
	})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := NewClient(Default(), nil, hosttest.New(hosttest.NewClock(), 1))
		conn := newConn(c, Key{Authority: "x:1"})
		conn.adopt(&bytesConn{in: bytes.NewReader(data)})
		head := NewHead("http", "x", "/", nil)
		handlers := make([]*onceHandler, 3)
		for i := range handlers {
			handlers[i] = &onceHandler{t: t, s: &Stream{}, credit: i > 0}
			handlers[i].s.handler = handlers[i]
			if conn.open(handlers[i].s, head, nil) != opened {
				t.Fatal("not opened")
			}
			handlers[i].s.Write(make([]byte, 1000), i == 0)
		}
		conn.fail(newReader(conn).loop())
		conn.teardown()
		for i, h := range handlers {
			if !h.closed {
				t.Fatalf("stream %d was not closed", i)
			}
		}
	})
}

// The encoder's blocks are what a decoder with the same table reads, whatever the table's size.
func FuzzEncoder(f *testing.F) {
	f.Add("/a", "v", uint32(4096))
	f.Add("/b", "", uint32(0))
	f.Add("/c", "long", uint32(100))
	f.Fuzz(func(t *testing.T, path, value string, size uint32) {
		e := newEncoder()
		dec := hpack.NewDecoder(headTableBytes, nil)
		dec.SetAllowedMaxDynamicTableSize(max(size, headTableBytes))
		heads := []*Head{
			NewHead("http", "host", path, []Field{{Name: "content-type", Value: value}, {Name: "x-more", Value: path}}),
			NewHead("https", "host", path+"2", []Field{{Name: "content-type", Value: "v"}, {Name: "accept", Value: value}}),
		}
		for n := range 8 {
			if n == 4 {
				e.resize(size)
			}
			h := heads[n/2%2]
			extra := []Field{{Name: "x-id", Value: value, Secret: true}, {Name: "x-key", Value: path}}
			got, err := dec.DecodeFull(e.append(nil, h, extra))
			if err != nil {
				t.Fatal(err)
			}
			want := append(append([]Field(nil), h.fields...), extra...)
			if len(got) != len(want) {
				t.Fatalf("%d fields, want %d", len(got), len(want))
			}
			for i, w := range want {
				if got[i].Name != w.Name || got[i].Value != w.Value || got[i].Sensitive != w.Secret {
					t.Fatalf("field %v, want %v", got[i], w)
				}
			}
		}
	})
}

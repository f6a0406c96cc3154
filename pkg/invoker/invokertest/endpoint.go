package invokertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/lifecycle"
	"reprise/pkg/serviceproto"
)

// Frame is a message as an endpoint sees it.
type Frame struct {
	Type    serviceproto.Type
	Flags   uint16
	Payload []byte
	Raw     []byte // with the header
}

// Peer is one attempt as the endpoint sees it, after Start and the journal were read.
type Peer struct {
	Request *http.Request
	Writer  http.ResponseWriter
	Control *http.ResponseController
	In      *bufio.Reader // the request body
	Attempt int           // from 1, of the endpoint
	Start   *servicev1.Start
	Replay  []Frame
}

// Options change how an endpoint serves.
type Options struct {
	Raw       bool // attempts are shown before anything of them was read
	Whole     bool // attempts are shown when their request was read to its end, as servers of request/response mode do
	Protocols func(*http.Protocols)
}

const headerTimeout = 10 * time.Second

// Serve serves attempts with f, over HTTP/2 without TLS, until the test ends. An attempt that the
// engine gives up before its journal was sent is not shown to f.
func Serve(t testing.TB, f func(p *Peer)) (uri string) {
	t.Helper()
	return ServeWith(t, Options{}, f)
}

// ServeWith is Serve with options.
func ServeWith(t testing.TB, o Options, f func(p *Peer)) (uri string) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	if o.Protocols != nil {
		o.Protocols(&protocols)
	}
	return Listen(t, &http.Server{Protocols: &protocols, Handler: Handler(o, f)})
}

// Handler serves attempts with f on somebody else's server.
func Handler(o Options, f func(p *Peer)) http.Handler {
	var attempts atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &Peer{
			Request: r, Writer: w, Control: http.NewResponseController(w), In: bufio.NewReader(r.Body), Attempt: int(attempts.Add(1)),
		}
		if o.Whole {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // the engine left
			}
			p.In = bufio.NewReader(bytes.NewReader(body))
		} else {
			_ = p.Control.EnableFullDuplex() // of HTTP/1.1; HTTP/2 is always
		}
		if o.Raw || p.begin() == nil {
			f(p)
		}
	})
}

// Listen runs a server on a free port of the loopback until the test ends.
func Listen(t testing.TB, s *http.Server) (uri string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ReadHeaderTimeout = headerTimeout
	g := lifecycle.NewGroup(context.Background())
	g.Go("endpoint", func(context.Context) error {
		if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	t.Cleanup(func() {
		_ = s.Close()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func (p *Peer) begin() error {
	f, err := p.Next()
	if err != nil {
		return err
	}
	if f.Type != serviceproto.TypeStart {
		return fmt.Errorf("%s in place of Start", f.Type)
	}
	p.Start = &servicev1.Start{}
	if err := proto.Unmarshal(f.Payload, p.Start); err != nil {
		return err
	}
	for range p.Start.GetKnownEntries() {
		if f, err = p.Next(); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		p.Replay = append(p.Replay, f)
	}
	return nil
}

// Next reads a message that comes after the journal; io.EOF when the engine has nothing more to send.
func (p *Peer) Next() (f Frame, err error) {
	var h [serviceproto.FrameHeaderSize]byte
	if _, err := io.ReadFull(p.In, h[:]); err != nil {
		return f, err
	}
	f.Type, f.Flags = serviceproto.Type(binary.BigEndian.Uint16(h[:])), binary.BigEndian.Uint16(h[2:])
	f.Payload = make([]byte, binary.BigEndian.Uint32(h[4:]))
	_, err = io.ReadFull(p.In, f.Payload)
	f.Raw = append(h[:], f.Payload...)
	return f, err
}

// Headers sets the headers of the response.
func (p *Peer) Headers() { p.Writer.Header().Set("content-type", p.Request.Header.Get("content-type")) }

// Send sends frames as they are, together.
func (p *Peer) Send(frames ...[]byte) {
	p.Headers()
	var all []byte
	for _, f := range frames {
		all = append(all, f...)
	}
	_, _ = p.Writer.Write(all) // the engine may have left
	_ = p.Control.Flush()
}

// Types are those of the journal.
func (p *Peer) Types() string {
	var all []string
	for _, f := range p.Replay {
		all = append(all, f.Type.String())
	}
	return strings.Join(all, " ")
}

// Input is the input of the invocation.
func (p *Peer) Input() string {
	var in servicev1.InputCommand
	_ = proto.Unmarshal(p.Replay[0].Payload, &in) // of the engine under test: what is wrong shows in the input
	return string(in.GetValue().GetContent())
}

// State is an entry of the state that came with Start.
func (p *Peer) State(name string) string {
	for _, e := range p.Start.GetStateMap() {
		if string(e.GetKey()) == name {
			return string(e.GetValue())
		}
	}
	return ""
}

// Find returns the payload of the first message of a type in the journal, and whether there is one.
func (p *Peer) Find(t serviceproto.Type) ([]byte, bool) {
	for _, f := range p.Replay {
		if f.Type == t {
			return f.Payload, true
		}
	}
	return nil, false
}

package invokertest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	Payload []byte
}

// Peer is one attempt as the endpoint sees it, after Start and the journal were read.
type Peer struct {
	Request *http.Request
	Start   *servicev1.Start
	Replay  []Frame

	w  http.ResponseWriter
	rc *http.ResponseController
	in *bufio.Reader
}

const headerTimeout = 10 * time.Second

// Serve serves attempts with f, over HTTP/2 without TLS, until the test ends. An attempt that the
// engine gives up before its journal was sent is not shown to f.
func Serve(t testing.TB, f func(p *Peer)) (uri string) {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: &protocols, ReadHeaderTimeout: headerTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &Peer{Request: r, w: w, rc: http.NewResponseController(w), in: bufio.NewReader(r.Body)}
		if err := p.begin(); err == nil {
			f(p)
		}
	})}
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
	if _, err := io.ReadFull(p.in, h[:]); err != nil {
		return f, err
	}
	f.Type = serviceproto.Type(binary.BigEndian.Uint16(h[:]))
	f.Payload = make([]byte, binary.BigEndian.Uint32(h[4:]))
	_, err = io.ReadFull(p.in, f.Payload)
	return f, err
}

// Send sends frames as they are, together.
func (p *Peer) Send(frames ...[]byte) {
	p.w.Header().Set("content-type", p.Request.Header.Get("content-type"))
	var all []byte
	for _, f := range frames {
		all = append(all, f...)
	}
	_, _ = p.w.Write(all) // the engine may have left
	_ = p.rc.Flush()
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

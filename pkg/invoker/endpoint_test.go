package invoker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/lifecycle"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// frame is a message as an endpoint sees it.
type frame struct {
	typ     serviceproto.Type
	flags   uint16
	payload []byte
	raw     []byte
}

// peer is one attempt as the endpoint sees it.
type peer struct {
	w       http.ResponseWriter
	r       *http.Request
	rc      *http.ResponseController
	in      *bufio.Reader
	attempt int // from 1, of the endpoint
	start   *servicev1.Start
	replay  []frame
}

func (p *peer) next() (f frame, err error) {
	var h [8]byte
	if _, err := io.ReadFull(p.in, h[:]); err != nil {
		return f, err
	}
	f.typ, f.flags = serviceproto.Type(binary.BigEndian.Uint16(h[:])), binary.BigEndian.Uint16(h[2:])
	f.payload = make([]byte, binary.BigEndian.Uint32(h[4:]))
	_, err = io.ReadFull(p.in, f.payload)
	f.raw = append(h[:], f.payload...)
	return f, err
}

// begin reads Start and the journal.
func (p *peer) begin() error {
	f, err := p.next()
	if err != nil {
		return err
	}
	if f.typ != serviceproto.TypeStart {
		return fmt.Errorf("%s in place of Start", f.typ)
	}
	p.start = &servicev1.Start{}
	if err := proto.Unmarshal(f.payload, p.start); err != nil {
		return err
	}
	for range p.start.GetKnownEntries() {
		if f, err = p.next(); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		p.replay = append(p.replay, f)
	}
	return nil
}

func (p *peer) headers() { p.w.Header().Set("content-type", p.r.Header.Get("content-type")) }

func (p *peer) send(frames ...[]byte) {
	p.headers()
	var all []byte
	for _, f := range frames {
		all = append(all, f...)
	}
	_, _ = p.w.Write(all)
	_ = p.rc.Flush()
}

func (p *peer) types() string {
	var all []string
	for _, f := range p.replay {
		all = append(all, f.typ.String())
	}
	return strings.Join(all, " ")
}

// input is the input of the invocation.
func (p *peer) input() string {
	var in servicev1.InputCommand
	_ = proto.Unmarshal(p.replay[0].payload, &in)
	return string(in.GetValue().GetContent())
}

// endpoint serves attempts with f; p has begun unless raw is set.
func endpoint(t *testing.T, f func(p *peer), raw bool, protocols ...func(*http.Protocols)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	p.SetHTTP1(true)
	for _, set := range protocols {
		set(&p)
	}
	var mu sync.Mutex
	attempts := 0
	s := &http.Server{Protocols: &p, ReadHeaderTimeout: wait, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		attempts++
		n := attempts
		mu.Unlock()
		a := &peer{w: w, r: r, rc: http.NewResponseController(w), in: bufio.NewReader(r.Body), attempt: n}
		_ = a.rc.EnableFullDuplex()
		if !raw {
			if err := a.begin(); err != nil {
				return // the engine gave the attempt up
			}
		}
		f(a)
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

// Messages that endpoints send.

func flagged(f []byte) []byte {
	f = append([]byte(nil), f...)
	binary.BigEndian.PutUint16(f[2:], serviceproto.FlagRequestedAck)
	return f
}

func proposal(completion uint32, value string) []byte {
	return partitiontest.Frame(serviceproto.TypeProposeRunCompletion, &servicev1.ProposeRunCompletion{
		ResultCompletionId: completion, Result: &servicev1.ProposeRunCompletion_Value{Value: []byte(value)},
	})
}

func errorMessage(e *servicev1.Error) []byte { return partitiontest.Frame(serviceproto.TypeError, e) }

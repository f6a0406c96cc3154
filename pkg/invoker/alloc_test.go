package invoker

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/schema"
)

// instantConn is an endpoint without a network: it answers each stream at once, and each run step.
type instantConn struct {
	net.Conn
	mu    sync.Mutex
	more  *sync.Cond
	out   []byte // to be read by the client
	in    []byte // not parsed yet
	begun bool
	done  bool
	first bool // header fields are in the client's table
	body  []byte
}

func newInstantConn(body []byte) *instantConn {
	c := &instantConn{body: body, out: []byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}}
	c.more = sync.NewCond(&c.mu)
	return c
}

func (c *instantConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) == 0 && !c.done {
		c.more.Wait()
	}
	if c.done {
		return 0, io.EOF
	}
	n := copy(p, c.out)
	c.out = c.out[:copy(c.out, c.out[n:])]
	return n, nil
}

func (c *instantConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	c.more.Broadcast()
	return nil
}

func (c *instantConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, p...)
	if !c.begun {
		c.in, c.begun = c.in[:copy(c.in, c.in[len(http2.ClientPreface):])], true
	}
	at := 0
	for len(c.in)-at >= 9 {
		n := int(c.in[at])<<16 | int(c.in[at+1])<<8 | int(c.in[at+2])
		if len(c.in)-at < 9+n {
			break
		}
		if http2.FrameType(c.in[at+3]) == http2.FrameHeaders {
			c.answer(binary.BigEndian.Uint32(c.in[at+5:]))
		}
		at += 9 + n
	}
	c.in = c.in[:copy(c.in, c.in[at:])]
	c.more.Broadcast()
	return len(p), nil
}

func (c *instantConn) frame(t http2.FrameType, flags http2.Flags, stream uint32, payload []byte) {
	n := len(payload)
	c.out = append(c.out, byte(n>>16), byte(n>>8), byte(n), byte(t), byte(flags))
	c.out = binary.BigEndian.AppendUint32(c.out, stream)
	c.out = append(c.out, payload...)
}

func (c *instantConn) answer(stream uint32) {
	block := []byte{0x88, 0xbe} // status 200, first entry of the table
	if !c.first {
		c.first = true
		const value = "application/vnd.restate.invocation.v6"
		block = append([]byte{0x88, 0x40 | 31, byte(len(value))}, value...)
	}
	c.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, block)
	c.frame(http2.FrameData, http2.FlagDataEndStream, stream, c.body)
}

// instantOwner stores nothing.
type instantOwner struct {
	proposed chan int // length of the record
	input    []byte
}

func (o *instantOwner) Propose(_ id.Partition, rec []byte) bool {
	o.proposed <- len(rec)
	return true
}

func (o *instantOwner) Post(Event) {}

func (o *instantOwner) Replay(id.Partition, id.Invocation, int) (Replay, error) {
	return Replay{Entries: 1, Commands: 1, Inline: true, Frames: o.input}, nil
}

type instant struct {
	v *Invoker
	o *instantOwner
	n uint64
	a Activation
}

func newInstant(tb testing.TB) *instant {
	o := &instantOwner{proposed: make(chan int, 1), input: partitiontest.Input("hello")}
	cfg := Default()
	body := append(partitiontest.Output("hello"), partitiontest.End()...)
	cfg.Dial = func(context.Context, string, bool) (net.Conn, error) { return newInstantConn(body), nil }
	reg := schema.NewRegistry(&storedv1.Schema{Version: 1, Deployments: []*storedv1.Deployment{deployment(1, "http://127.0.0.1:1")}}, schema.Default())
	h := hosttest.New(hosttest.NewClock(), 1)
	v := New(cfg, o, func() *schema.Registry { return reg }, h)
	v.Tick(host.Millis(h.Clock))
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("invoker", v.Run)
	<-v.Ready()
	tb.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			tb.Error(err)
		}
	})
	return &instant{v: v, o: o, a: Activation{Partitions: 1, Target: service("h")}}
}

// echo is one invocation, from Start to Stop.
func (x *instant) echo() {
	x.n++
	binary.BigEndian.PutUint64(x.a.ID[16:], x.n)
	x.a.Incarnation, x.a.Activation = lsn.LSN(x.n), lsn.LSN(x.n)
	x.v.Start(x.a)
	x.v.Flush()
	<-x.o.proposed
	x.v.Stepped(x.a.ID, 1, false, 2)
	x.v.Stop(x.a.ID, x.a.Activation)
}

// An attempt costs the text of its id, what the frame reader makes of HEADERS, and the header strings.
func TestAllocations(t *testing.T) {
	x := newInstant(t)
	for range 1000 {
		x.echo()
	}
	const budget = 3
	if n := testing.AllocsPerRun(5000, x.echo); n > budget {
		t.Fatalf("%.1f allocations an attempt, the budget is %d", n, budget)
	} else {
		t.Logf("%.1f allocations an attempt", n)
	}
	now := host.Millis(x.v.host.Clock)
	for range 3 { // those whose end is not read yet are drained for 5 s
		now += drainMax.Milliseconds()
		x.v.Tick(now)
	}
	if running, queued := x.v.Running(); running != 0 || queued != 0 {
		t.Fatalf("%d tokens are held, %d wait", running, queued)
	}
}

func BenchmarkEcho(b *testing.B) {
	x := newInstant(b)
	b.ReportAllocs()
	for b.Loop() {
		x.echo()
	}
}

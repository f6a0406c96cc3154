package sim_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/invoker/invokertest"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// endpoint has the handlers that clients call. It may be out of order; its connections end with the worker that made them.
type endpoint struct {
	w      *world
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	until  atomic.Int64 // Unix milliseconds; it answers nothing before
	server *http.Server

	mu       sync.Mutex
	running  map[string]*running // by object
	attempts int
}

// running is an attempt that holds an object.
type running struct {
	p   *process
	ctx context.Context // of the request
	id  string
}

// owner is the key under which a connection says which process made it.
type owner struct{}

// conn is a connection of a process.
type conn struct {
	net.Conn
	p *process
}

func newEndpoint(w *world) *endpoint {
	e := &endpoint{w: w, conns: make(chan net.Conn), closed: make(chan struct{}), running: map[string]*running{}}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	e.server = &http.Server{
		Protocols: &protocols, Handler: invokertest.Handler(invokertest.Options{}, e.serve), ReadHeaderTimeout: time.Hour,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, owner{}, c.(conn).p) //nolint:forcetypeassert // of this listener
		},
	}
	return e
}

// Accept implements net.Listener.
func (e *endpoint) Accept() (net.Conn, error) {
	select {
	case c := <-e.conns:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (e *endpoint) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

// Addr implements net.Listener.
func (e *endpoint) Addr() net.Addr { return &net.TCPAddr{} }

// connect opens connections of a process.
func (e *endpoint) connect(p *process) h2.Connect {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		here, there := net.Pipe()
		select {
		case e.conns <- conn{there, p}:
			if e.w.mistakes.deaf {
				return &deaf{Conn: here}, nil
			}
			return here, nil
		case <-e.closed:
			return nil, errRefused
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

const (
	plain  = "S"
	object = "O"
)

func (e *endpoint) deployment() *storedv1.Deployment {
	s := &storedv1.Service{Name: plain, Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1}
	for _, h := range []string{"relay", "tell", "sleep", "via"} {
		s.Handlers = append(s.Handlers, &storedv1.Handler{Name: h})
	}
	o := &storedv1.Service{Name: object, Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Revision: 1}
	for _, h := range []string{"add", "get", "parrot"} {
		o.Handlers = append(o.Handlers, &storedv1.Handler{Name: h, Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE})
	}
	return &storedv1.Deployment{
		Id: append(make([]byte, 15), 1), Uri: "http://endpoint:9080", Bidi: true, MinProtocolVersion: 5, MaxProtocolVersion: 6,
		Services: []*storedv1.Service{s, o},
	}
}

// serve plays an attempt as an SDK would: from the journal, with nothing kept between attempts.
func (e *endpoint) serve(p *invokertest.Peer) {
	path := strings.TrimPrefix(p.Request.URL.Path, "/invoke/")
	service, handler, _ := strings.Cut(path, "/")
	from := p.Request.Context().Value(owner{}).(*process) //nolint:forcetypeassert // set for all
	name := p.Start.GetDebugId()
	if e.w.mistakes.queue {
		e.wait(from, "queue "+name, e.w.queueing)
		if p.Request.Context().Err() != nil {
			return
		}
	}
	e.w.check.attempt(from, name)
	if time.Now().UnixMilli() < e.until.Load() {
		p.Writer.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if service == object {
		end := e.hold(from, p, name)
		defer end()
	}
	e.wait(from, path+" "+name, e.w.thinking)
	e.handle(handler, p)
}

// outMost is how long the endpoint may be out of order.
const outMost = 15 * time.Second

// out has the endpoint refuse all for a while.
func (e *endpoint) out(d time.Duration) { e.until.Store(time.Now().Add(d).UnixMilli()) }

// hold notes that an attempt works on an object: two of one worker never do at a time.
func (e *endpoint) hold(from *process, p *invokertest.Peer, name string) (end func()) {
	key := p.Start.GetKey()
	r := &running{p: from, ctx: p.Request.Context(), id: name}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attempts++
	if other := e.running[key]; other != nil && other.p == from && from.alive() && other.ctx.Err() == nil && other.id != name {
		e.w.violate("P5", "%s and %s run on object %s at a time at %s", other.id, name, key, from.name)
	}
	e.running[key] = r
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.running[key] == r {
			delete(e.running, key)
		}
	}
}

// wait takes the time that a handler takes, or a request until it has its turn.
func (e *endpoint) wait(from *process, what string, delay func() time.Duration) {
	done := make(chan struct{}, 1)
	e.w.net.post(&message{from: "endpoint", to: from.name, what: what, certain: true, delay: delay, arrive: func() { done <- struct{}{} }})
	select {
	case <-done:
	case <-e.w.ctx.Done():
	}
}

func (e *endpoint) handle(handler string, p *invokertest.Peer) {
	switch handler {
	case "sleep": // until the millisecond that is its input
		due, _ := strconv.ParseInt(p.Input(), 10, 64)
		if _, ok := p.Find(serviceproto.TypeSleepCompletion); ok {
			finish(p, "awake")
			return
		}
		once(p, serviceproto.TypeSleep, partitiontest.Sleep(1, due))
		p.Send(partitiontest.Suspension([]uint32{1}, nil))
	case "relay": // adds to the object that is its input and answers what that answers
		if done, ok := p.Find(serviceproto.TypeCallCompletion); ok {
			r, err := serviceproto.CompletionResult(done)
			if err != nil {
				return
			}
			finish(p, string(r.GetValue()))
			return
		}
		once(p, serviceproto.TypeCall, partitiontest.Frame(serviceproto.TypeCall, &servicev1.CallCommand{
			ServiceName: object, HandlerName: "add", Key: p.Input(), InvocationIdNotificationIdx: 1, ResultCompletionId: 2,
		}))
		p.Send(partitiontest.Suspension([]uint32{2}, nil))
	case "via": // calls the object of its input, and leaves, or waits for what that answers
		how, key, _ := strings.Cut(p.Input(), " ")
		call := partitiontest.Frame(serviceproto.TypeCall, &servicev1.CallCommand{
			ServiceName: object, HandlerName: "parrot", Key: key, Parameter: []byte(how), InvocationIdNotificationIdx: 1, ResultCompletionId: 2,
		})
		if how == "leave" {
			rest(p, call, partitiontest.Output("left"))
			return
		}
		if done, ok := p.Find(serviceproto.TypeCallCompletion); ok {
			r, err := serviceproto.CompletionResult(done)
			if err != nil {
				return
			}
			finish(p, string(r.GetValue()))
			return
		}
		once(p, serviceproto.TypeCall, call)
		p.Send(partitiontest.Suspension([]uint32{2}, nil))
	case "parrot":
		rest(p, partitiontest.Output(p.Input()))
	case "tell": // adds once to each of many objects and does not wait
		frames := [][]byte{}
		for i, key := range strings.Fields(p.Input()) {
			frames = append(frames, partitiontest.Frame(serviceproto.TypeOneWayCall, &servicev1.OneWayCallCommand{
				ServiceName: object, HandlerName: "add", Key: key, InvocationIdNotificationIdx: uint32(i) + 1,
			}))
		}
		rest(p, append(frames, partitiontest.Output("told"))...)
	case "add":
		var sum string
		if set, ok := p.Find(serviceproto.TypeSetState); ok {
			var c servicev1.SetStateCommand
			_ = proto.Unmarshal(set, &c) // of our own making
			sum = string(c.GetValue().GetContent())
		} else {
			n, _ := strconv.Atoi(p.State("n"))
			sum = strconv.Itoa(n + 1)
		}
		rest(p, partitiontest.SetState("n", sum), partitiontest.Output(sum))
	case "get":
		rest(p, partitiontest.Output(p.State("n")))
	}
}

// rest sends the commands that the journal does not have yet, together, and ends.
func rest(p *invokertest.Peer, commands ...[]byte) {
	for _, f := range p.Replay[1:] {
		if f.Type.IsCommand() && len(commands) > 0 {
			commands = commands[1:]
		}
	}
	p.Send(append(commands, partitiontest.End())...)
}

func finish(p *invokertest.Peer, value string) {
	if _, ok := p.Find(serviceproto.TypeOutput); ok {
		p.Send(partitiontest.End())
		return
	}
	p.Send(partitiontest.Output(value), partitiontest.End())
}

// once sends a command unless the journal has it already.
func once(p *invokertest.Peer, t serviceproto.Type, frame []byte) {
	if _, ok := p.Find(t); !ok {
		p.Send(frame)
	}
}

// keyIn returns a key of an object that lies in a partition.
func (w *world) keyIn(p id.Partition, n int) string {
	for i := 0; ; i++ {
		key := fmt.Sprintf("k%d-%d", n, i)
		if id.PartitionOf(id.Hash(key), w.setup.partitions) == p {
			return key
		}
	}
}

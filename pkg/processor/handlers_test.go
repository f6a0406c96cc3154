package processor_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invoker/invokertest"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// endpoint has the handlers that tests call.
type endpoint struct {
	uri  string
	free chan struct{} // S/hang returns when it is closed

	mu       sync.Mutex
	attempts map[string]int // by handler
}

var (
	echo   = target{service: "S", handler: "echo"}
	hang   = target{service: "S", handler: "hang"}
	parent = target{service: "S", handler: "parent"}
	sleep  = target{service: "S", handler: "sleep"}
	relay  = target{service: "S", handler: "relay"}
	tell   = target{service: "S", handler: "tell"}
)

// add counts in an object and answers the sum.
func add(key string) target { return target{service: "O", handler: "add", key: key} }

// block does as hang does, while it holds its key.
func block(key string) target { return target{service: "O", handler: "block", key: key} }

// get answers the sum.
func get(key string) target { return target{service: "O", handler: "get", key: key} }

func serve(t *testing.T) *endpoint {
	e := &endpoint{free: make(chan struct{}), attempts: map[string]int{}}
	e.uri = invokertest.Serve(t, func(p *invokertest.Peer) {
		_, handler, _ := strings.Cut(strings.TrimPrefix(p.Request.URL.Path, "/invoke/"), "/")
		e.mu.Lock()
		e.attempts[handler]++
		e.mu.Unlock()
		e.handle(handler, p)
	})
	return e
}

func (e *endpoint) deployment() *storedv1.Deployment {
	s := &storedv1.Service{Name: "S", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1}
	for _, x := range []target{echo, hang, parent, sleep, relay, tell} {
		s.Handlers = append(s.Handlers, &storedv1.Handler{Name: x.handler})
	}
	o := &storedv1.Service{
		Name: "O", Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Revision: 1,
		Handlers: []*storedv1.Handler{
			{Name: "add", Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE}, {Name: "get", Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE},
			{Name: "block", Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE},
		},
	}
	return &storedv1.Deployment{
		Id: append(make([]byte, 15), 1), Uri: e.uri, Bidi: true, MinProtocolVersion: 5, MaxProtocolVersion: 6,
		Services: []*storedv1.Service{s, o},
	}
}

func (e *endpoint) count(handler string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attempts[handler]
}

// handle plays an attempt as an SDK would: from the journal, with nothing kept between attempts.
func (e *endpoint) handle(handler string, p *invokertest.Peer) {
	switch handler {
	case "echo":
		end(p, p.Input())
	case "parent": // calls and tells block of the objects that are its input, and waits
		frames := [][]byte{}
		for i, key := range strings.Fields(p.Input()) {
			if call := uint32(2*i) + 1; i%2 == 0 {
				frames = append(frames, partitiontest.Frame(serviceproto.TypeCall, &servicev1.CallCommand{
					ServiceName: "O", HandlerName: "block", Key: key, InvocationIdNotificationIdx: call, ResultCompletionId: call + 1,
				}))
			} else {
				frames = append(frames, partitiontest.Frame(serviceproto.TypeOneWayCall, &servicev1.OneWayCallCommand{
					ServiceName: "O", HandlerName: "block", Key: key, InvocationIdNotificationIdx: call,
				}))
			}
		}
		p.Send(append(frames, partitiontest.Suspension([]uint32{2}, []uint32{1}))...)
	case "hang", "block":
		select {
		case <-e.free:
			end(p, "done")
		case <-p.Request.Context().Done():
		}
	case "sleep": // until the millisecond that is its input
		if _, ok := p.Find(serviceproto.TypeSleepCompletion); ok {
			end(p, "awake")
			return
		}
		due, _ := strconv.ParseInt(p.Input(), 10, 64)
		once(p, serviceproto.TypeSleep, partitiontest.Sleep(1, due))
		p.Send(partitiontest.Suspension([]uint32{1}, nil))
	case "relay": // adds to the object that is its input and answers what that answers
		if done, ok := p.Find(serviceproto.TypeCallCompletion); ok {
			r, err := serviceproto.CompletionResult(done)
			if err != nil {
				return
			}
			end(p, string(r.GetValue()))
			return
		}
		once(p, serviceproto.TypeCall, partitiontest.Frame(serviceproto.TypeCall, &servicev1.CallCommand{
			ServiceName: "O", HandlerName: "add", Key: p.Input(), InvocationIdNotificationIdx: 1, ResultCompletionId: 2,
		}))
		p.Send(partitiontest.Suspension([]uint32{2}, nil))
	case "tell": // adds once to each of many objects and does not wait
		frames := [][]byte{}
		for i, key := range strings.Fields(p.Input()) {
			frames = append(frames, partitiontest.Frame(serviceproto.TypeOneWayCall, &servicev1.OneWayCallCommand{
				ServiceName: "O", HandlerName: "add", Key: key, InvocationIdNotificationIdx: uint32(i) + 1,
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
		if f.Type.IsCommand() {
			commands = commands[1:]
		}
	}
	p.Send(append(commands, partitiontest.End())...)
}

func end(p *invokertest.Peer, value string) {
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

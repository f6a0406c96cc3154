package invoker

import (
	"bytes"
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

// sink is the exchange and the Owner of an attempt that only receives.
type sink struct {
	credit int
	frames []byte
	events int
}

func (s *sink) Write([]byte, bool)                                            {}
func (s *sink) Pending() int                                                  { return 0 }
func (s *sink) NotifySpare(chan<- struct{})                                   {}
func (s *sink) Finish()                                                       {}
func (s *sink) Reset()                                                        {}
func (s *sink) Credit(n int)                                                  { s.credit += n }
func (s *sink) Flush()                                                        {}
func (s *sink) Post(Event)                                                    { s.events++ }
func (s *sink) Replay(id.Partition, id.Invocation, int) (r Replay, err error) { return r, err }

func (s *sink) Propose(_ id.Partition, rec []byte) bool {
	r, err := command.Parse(rec)
	if err != nil {
		panic(err)
	}
	s.frames = append(s.frames, r.Body...)
	return true
}

// receive gives bytes to an attempt in pieces and returns what it proposed, and whether it failed.
func receive(data []byte, sizes []byte) (s *sink, a *attempt) {
	s = &sink{}
	reg := schema.NewRegistry(nil, schema.Default())
	cfg := Default()
	cfg.MessageBytesMax = 1 << 10
	v := New(cfg, s, func() *schema.Registry { return reg }, hosttest.New(hosttest.NewClock(), 1))
	a = &attempt{v: v, out: s, version: 7, route: &route{}, sizes: v.limits.sizes.Load()}
	a.refs.Store(1)
	for n := 0; len(data) > 0; n++ {
		size := len(data)
		if len(sizes) > 0 {
			size = min(size, int(sizes[n%len(sizes)])+1)
		}
		a.Data(append([]byte(nil), data[:size]...))
		data = data[size:]
	}
	a.Drained()
	return s, a
}

// However bytes are cut, the same frames are proposed and the same is wrong; and all of the window comes
// back, at once or when the records are applied.
func FuzzData(f *testing.F) {
	good := bytes.Join([][]byte{
		partitiontest.Run(1), proposal(1, "x"), partitiontest.Sleep(2, 5), partitiontest.Output("x"), partitiontest.End(), partitiontest.Run(2),
	}, nil)
	f.Add(good, []byte{0})
	f.Add(good[:len(good)-3], []byte{3, 200})
	f.Add(raw(serviceproto.TypeSuspension, []byte{0x22, 2, 8, 1}), []byte{})
	f.Add(append(partitiontest.Run(1), 0xff, 0xff, 0, 0, 0xff, 0, 0, 0), []byte{1})
	f.Fuzz(func(t *testing.T, data, sizes []byte) {
		whole, a := receive(data, nil)
		parts, b := receive(data, sizes)
		if !bytes.Equal(whole.frames, parts.frames) {
			t.Fatalf("proposed\n%x\nin pieces\n%x", whole.frames, parts.frames)
		}
		if (a.failure == nil) != (b.failure == nil) || a.failure != nil && a.failure.doc != b.failure.doc || a.final != b.final {
			t.Fatalf("failure %v, final %d; in pieces %v, %d", a.failure, a.final, b.failure, b.final)
		}
		for _, x := range []struct {
			s *sink
			a *attempt
		}{{whole, a}, {parts, b}} {
			for x.a.stepsLocked() > 0 {
				x.a.steppedLocked(false)
			}
			if x.s.credit != len(data) {
				t.Fatalf("%d bytes of window came back for %d", x.s.credit, len(data))
			}
		}
		for rest := whole.frames; len(rest) > 0; {
			frame, next, ok, err := serviceproto.NextFrame(rest, 1<<20)
			if err != nil || !ok || frame.Flags != 0 || !frame.Type.Known() {
				t.Fatalf("proposed what is no frame: %x", rest)
			}
			rest = next
		}
	})
}

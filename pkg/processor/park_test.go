package processor_test

import (
	"reflect"
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/serviceproto"
)

// garbage are facts that do not decode.
type garbage struct{}

func (garbage) SizeVT() int { return 1 }

func (garbage) MarshalToSizedBufferVT(b []byte) (int, error) {
	b[0] = 0xff
	return 1, nil
}

// poison is a request that Apply halts at.
func poison(i id.Invocation) command.Request {
	rec, err := command.Append(nil, command.Header{Kind: command.Invoke, ID: i}, garbage{})
	if err != nil {
		panic(err)
	}
	return command.Request{ID: i, Record: rec, Want: command.WantAccepted}
}

// One partition stops, visibly; the others, of the same loop too, go on, also after a restart.
func TestPoisonParksOnePartition(t *testing.T) {
	w := newWorld(t, 3, 2)
	n := w.start("a")
	waits := n.submit(hang.request(w.nameIn(0, hang, "waits"), "", command.WantCompleted))
	eventually(t, "it waits", func() bool { return n.Waiters(0) == 1 })
	bad := n.trusted(poison(hang.request(w.nameIn(0, hang, "bad"), "", 0).ID))
	for _, ch := range []<-chan answer{bad, waits} {
		if a := n.answerOf(ch); !errs.Is(a.err, errs.Uncertain) {
			t.Errorf("%v", a.err)
		}
	}
	for _, when := range []string{"live", "replayed"} {
		if got := n.gauge("reprise_processor_parked_partitions"); got != 1 {
			t.Errorf("%s: %g partitions are parked", when, got)
		}
		for p := range id.Partition(3) {
			name := w.nameIn(p, echo, when)
			if p > 0 {
				n.want(echo, name, "hello", "hello")
				continue
			}
			if _, err := n.Do(t.Context(), echo.request(name, "", command.WantCompleted)); !errs.Is(err, errs.NotLeader) {
				t.Errorf("%s: a request to the parked partition: %v", when, err)
			}
		}
		if when == "live" {
			n.crash()
			n = w.start("a") // ready, although one partition is not
		}
	}
	close(w.endpoint.free)
}

func TestWhatDoesNotParseIsRefused(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	good := echo.request("x", "", command.WantAccepted)
	numbered := append([]byte(nil), good.Record...)
	command.SetSource(numbered, 0, 1)
	newer := append([]byte(nil), good.Record...)
	newer[8] = 99
	longFacts := append([]byte(nil), good.Record...)
	longFacts[79] = 0x7f
	for _, row := range []struct {
		name string
		rec  []byte
		id   id.Invocation
		want errs.Code
	}{
		{"cut", good.Record[:len(good.Record)-1], good.ID, errs.Invalid},
		{"two", append(append([]byte(nil), good.Record...), good.Record...), good.ID, errs.Invalid},
		{"another id", good.Record, id.Invocation{1}, errs.Invalid},
		{"numbered", numbered, good.ID, errs.Invalid},
		{"facts too long", longFacts, good.ID, errs.Invalid},
		{"a newer format", newer, good.ID, errs.Unsupported},
		{"a step", mustRecord(command.Header{Kind: command.Step, ID: good.ID}), good.ID, errs.Unsupported},
	} {
		if _, err := n.Do(t.Context(), command.Request{ID: row.id, Record: row.rec, Want: command.WantAccepted}); !errs.Is(err, row.want) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
}

func mustRecord(h command.Header) []byte {
	rec, err := command.Append(nil, h, nil)
	if err != nil {
		panic(err)
	}
	return rec
}

// message is a signal for nobody that partition 0 numbered.
func message(to id.Invocation, seq uint64) []byte {
	rec, err := command.Append(nil, command.Header{Kind: command.Respond, Frames: 1, ID: to}, nil, serviceproto.AppendSignalValue(nil, 17, nil))
	if err != nil {
		panic(err)
	}
	command.SetSource(rec, 0, seq)
	return rec
}

// attachByNobody is a message whose facts do not say who asks.
func attachByNobody(to id.Invocation, seq uint64) []byte {
	rec := mustRecord(command.Header{Kind: command.Attach, ID: to})
	command.SetSource(rec, 0, seq)
	return rec
}

func TestMessagesComeInOrder(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	to := echo.request(w.nameIn(1, echo, "nobody"), "", 0).ID
	type ack struct {
		seq uint64
		err error
	}
	acks := make(chan ack, 10)
	accept := func(seq uint64) error {
		return n.Accept(1, message(to, seq), func(err error) { acks <- ack{seq, err} })
	}
	// codes are those of the next acks of each message, in order; 0 is taken.
	codes := func(count int) map[uint64][]errs.Code {
		got := map[uint64][]errs.Code{}
		for range count {
			a := <-acks
			code := errs.Code(0)
			if a.err != nil {
				code = errs.CodeOf(a.err)
			}
			got[a.seq] = append(got[a.seq], code)
		}
		return got
	}
	n.Busy(1, func() { // all in one turn
		for _, seq := range []uint64{2, 1, 2, 4, 3, 1} {
			must(t, accept(seq))
		}
	})
	want := map[uint64][]errs.Code{1: {0, 0}, 2: {errs.Conflict, 0}, 3: {0}, 4: {errs.Conflict}}
	if got := codes(6); !reflect.DeepEqual(got, want) {
		t.Errorf("codes by message %v, want %v", got, want)
	}
	n.Depose(1, func() {})
	eventually(t, "it leads again", func() bool { return accept(3) == nil })
	must(t, accept(5)) // by the rows alone, 4 comes next
	must(t, accept(4))
	want = map[uint64][]errs.Code{3: {0}, 4: {0}, 5: {errs.Conflict}}
	if got := codes(3); !reflect.DeepEqual(got, want) {
		t.Errorf("codes by message after a change of leaders %v, want %v", got, want)
	}
	for name, err := range map[string]error{
		"of another partition": n.Accept(0, message(to, 5), nil),
		"without a number":     n.Accept(1, message(to, 0), nil),
		"garbage":              n.Accept(1, []byte("garbage"), nil),
		"attach by nobody":     n.Accept(1, attachByNobody(to, 5), nil),
	} {
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := n.Accept(1, read(to, 0).Record, nil); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a read: %v", err)
	}
}

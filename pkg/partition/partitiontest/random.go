package partitiontest

import (
	"fmt"
	"maps"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/serviceproto"
)

// Partitions is how many there are where a Random's partition, number 0, lives.
const Partitions = 2

// Random writes a log: records that the leader of partition 0 may propose, with some that come late,
// twice or for nobody. It looks at the State to which they were applied so far.
type Random struct {
	st     *State
	draw   func(n int) int // from 0 to n-1
	seq    uint64
	epoch  uint64
	time   int64
	source uint64
	last   []byte
}

// NewRandom returns a writer for st that takes its choices from draw.
func NewRandom(st *State, draw func(n int) int) *Random {
	return &Random{st: st, draw: draw, time: 1000}
}

// ID returns the id of invocation n; every fifth lives in partition 1.
func ID(n int) id.Invocation {
	var unique [16]byte
	copy(unique[:], fmt.Sprintf("invocation-%d", n))
	key := id.Hash(fmt.Sprint(n)) >> 1
	if n%5 == 4 {
		key |= 1 << 63
	}
	return id.NewInvocation(key, unique)
}

// IDs is how many ids a Random uses.
const IDs = 24

// Next returns the next record, stamped.
func (r *Random) Next() []byte {
	meta := r.st.Meta()
	at := lsn.LSN(meta.Applied + 1)
	r.time += int64(r.draw(50))
	kind := r.draw(56)
	if meta.Epoch == 0 || kind == 0 {
		return r.announce(at)
	}
	if kind == 1 && r.last != nil { // appended again
		again := slices.Clone(r.last)
		rec, _ := command.Parse(again)
		command.Stamp(again, 0, at, rec.Epoch, rec.Seq, rec.Time)
		return again
	}
	h, facts, frames := r.command(kind)
	if meta.Version == 0 && r.draw(16) == 0 {
		h, facts, frames = command.Header{Kind: command.Barrier}, &storedv1.BarrierFacts{Version: partition.VersionMax}, nil
	}
	raw, err := command.Append(nil, h, facts, frames...)
	if err != nil {
		panic(err)
	}
	if h.Kind == command.Respond || h.Kind == command.Share {
		r.source++
		command.SetSource(raw, 1, r.source)
	}
	r.seq = meta.Seq + 1
	command.Stamp(raw, 0, at, lsn.Epoch(meta.Epoch), r.seq, r.time)
	r.last = raw
	return raw
}

func (r *Random) announce(at lsn.LSN) []byte {
	r.epoch++
	from, to := id.Range(0, Partitions)
	raw, err := command.Append(nil, command.Header{Kind: command.Announce}, &storedv1.Announcement{
		Node: 1, Generation: uint32(r.epoch), KeyFrom: uint64(from), KeyTo: uint64(to), Partitions: Partitions,
	})
	if err != nil {
		panic(err)
	}
	command.Stamp(raw, 0, at, lsn.Epoch(r.epoch), 0, r.time)
	r.last = nil
	return raw
}

func (r *Random) near() id.Invocation {
	for {
		if n := r.draw(IDs); n%5 != 4 {
			return ID(n)
		}
	}
}

// some returns an invocation with the status, if there is one.
func (r *Random) some(status storedv1.InvocationStatus) *invocation.Invocation {
	var all []*invocation.Invocation
	for n := range IDs {
		if inv := r.st.rows[ID(n)]; inv != nil && inv.Row.Status == status {
			all = append(all, inv)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[r.draw(len(all))]
}

// share makes a result for some invocations, not all of which wait.
func (r *Random) share() (h command.Header, facts command.Facts, frames [][]byte) {
	var sinks []*storedv1.Sink
	for range 1 + r.draw(3) {
		i := r.near()
		s := &storedv1.Sink{Invocation: i[:], Incarnation: 1, CompletionId: uint32(1 + r.draw(8)), Attached: r.draw(2) == 0}
		if inv := r.st.rows[i]; inv != nil && r.draw(4) > 0 {
			s.Incarnation = inv.Row.Incarnation
		}
		sinks = append(sinks, s)
	}
	return command.Header{Kind: command.Share, ID: id.Invocation(sinks[0].Invocation)}, &storedv1.ShareFacts{
		Result: &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte("shared")}}, Sinks: sinks,
	}, nil
}

func (r *Random) command(kind int) (h command.Header, facts command.Facts, frames [][]byte) {
	switch {
	case kind < 12:
		return command.Header{Kind: command.Invoke, ID: r.near(), Frames: 1}, r.facts(), [][]byte{Input(fmt.Sprint(kind))}
	case kind < 27:
		return r.step()
	case kind < 32:
		return r.fire()
	case kind < 34:
		index := uint32(r.draw(20))
		return command.Header{Kind: command.Signal, ID: r.near(), Frames: 1}, nil,
			[][]byte{serviceproto.AppendSignalValue(nil, index, []byte("signal"))}
	case kind < 35 && r.draw(3) == 0:
		return r.share()
	case kind < 35:
		h = command.Header{Kind: command.Respond, ID: r.near(), Frames: 1}
		if inv := r.st.rows[h.ID]; inv != nil && r.draw(4) > 0 {
			h.Incarnation = lsn.LSN(inv.Row.Incarnation)
		} else {
			h.Incarnation = 1
		}
		return h, nil, [][]byte{serviceproto.AppendValue(nil, serviceproto.TypeCallCompletion, uint32(1+r.draw(8)), []byte("response"))}
	case kind < 36:
		i := ID(r.draw(IDs))
		return command.Header{Kind: command.Attach, ID: r.near()}, &storedv1.AttachFacts{
			Sink:   &storedv1.Sink{Invocation: i[:], Incarnation: uint64(r.draw(10)), CompletionId: uint32(1 + r.draw(8)), Attached: true},
			Output: r.draw(2) == 0,
		}, nil
	case kind < 37:
		target := id.Partition(r.draw(Partitions))
		return command.Header{Kind: command.TruncateOutbox}, &storedv1.TruncateOutbox{
			Target: uint32(target), Through: uint64(r.draw(int(r.st.seqs[target]) + 1)),
		}, nil
	case kind < 38:
		return command.Header{Kind: command.Read, ID: r.near()}, nil, nil
	case kind < 40:
		return r.giveUp(kind)
	default:
		return r.operation(kind)
	}
}

// operation is what people ask for, of any invocation in any status, and what follows from time.
func (r *Random) operation(kind int) (h command.Header, facts command.Facts, frames [][]byte) {
	h.ID = r.near()
	switch kind {
	case 40, 41, 42:
		h.Kind = command.Cancel
	case 43, 44:
		h.Kind = command.Kill
	case 45, 46:
		h.Kind = command.Hold
	case 47, 48:
		f := &storedv1.ResumeFacts{}
		if r.draw(2) == 0 {
			f.Deployment = &storedv1.Choice{Deployment: make([]byte, 16), MinProtocolVersion: uint32(5 + r.draw(2)), MaxProtocolVersion: 6}
		}
		h.Kind, facts = command.Resume, f
	case 49:
		next := h.ID
		next[len(next)-1] = byte(r.draw(2))
		h.Kind, facts = command.Restart, &storedv1.RestartFacts{Id: next[:], From: uint32(r.draw(4)), Keep: r.draw(2) == 0}
	case 50:
		h.Kind = command.Purge
	case 51:
		h.Kind = command.PurgeJournal
	case 52, 53:
		key := fmt.Sprint("k", r.draw(2))
		h.ID, h.Kind = id.NewInvocation(id.Hash(key), [16]byte{}), command.PatchState
		f := &storedv1.PatchStateFacts{Service: "Object", Key: key}
		if r.draw(2) == 0 {
			f.Entries = []*storedv1.StateEntry{{Name: []byte("patched"), Value: []byte{byte(r.draw(3))}}}
		}
		facts = f
	case 54:
		f := &storedv1.ExpireFacts{}
		for range r.draw(4) {
			if inv := r.some(storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED); inv != nil {
				f.Lives = append(f.Lives, partition.LifeOf(inv))
			}
		}
		r.time += int64(r.draw(2)) * 400_000
		h.ID, h.Kind, facts = id.Invocation{}, command.Expire, f
	default:
		inv := r.some(storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED)
		if inv != nil {
			h = r.attempt(inv)
		}
		h.Kind, facts = command.Event, &storedv1.EventFacts{Failure: &storedv1.AttemptFailure{Code: 500, Message: fmt.Sprint(r.draw(2))}}
	}
	return h, facts, nil
}

func (r *Random) facts() *storedv1.InvokeFacts {
	f := &storedv1.InvokeFacts{Target: r.target(), CompletionRetentionMs: int64(100 * r.draw(2)), JournalRetentionMs: int64(100 * r.draw(2))}
	if r.draw(4) == 0 {
		f.ExecuteAtMs = r.time + int64(r.draw(200)) - 50
	}
	if r.draw(3) == 0 {
		i := ID(r.draw(IDs))
		f.CallerId = i[:]
		f.Sink = &storedv1.Sink{Invocation: i[:], Incarnation: uint64(r.draw(10)), CompletionId: uint32(1 + r.draw(8))}
	}
	return f
}

func (r *Random) target() *storedv1.Target {
	t := &storedv1.Target{Service: "Service", Handler: "h", ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE}
	switch r.draw(5) {
	case 0, 1:
		t.Service, t.Key = "Object", fmt.Sprint("k", r.draw(2))
		t.ServiceType, t.HandlerType = storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE
	case 2:
		t.Service, t.Key = "Workflow", "k"
		t.ServiceType, t.HandlerType = storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, storedv1.HandlerType_HANDLER_TYPE_WORKFLOW
	}
	return t
}

// attempt is the header of what an attempt of inv sends; sometimes it comes too late.
func (r *Random) attempt(inv *invocation.Invocation) command.Header {
	index, _ := r.st.Journal(inv)
	h := command.Header{
		ID: inv.ID, Incarnation: lsn.LSN(inv.Row.Incarnation), Activation: lsn.LSN(inv.Row.Activation),
		Attempt: index.LastAttempt + uint32(r.draw(2)),
	}
	switch r.draw(12) {
	case 0:
		h.Activation--
	case 1:
		h.Incarnation--
	case 2:
		h.Attempt = max(h.Attempt, 1) - 1
	}
	return h
}

func (r *Random) step() (h command.Header, facts command.Facts, frames [][]byte) {
	inv := r.some(storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED)
	if inv == nil {
		return command.Header{Kind: command.Step, ID: r.near(), Incarnation: 1, Activation: 1, Attempt: 1}, nil, [][]byte{Run(1)}
	}
	h = r.attempt(inv)
	h.Kind = command.Step
	f := &storedv1.StepFacts{}
	if inv.Row.Pin == nil {
		f.Pin = &storedv1.Pin{Deployment: make([]byte, 16), ProtocolVersion: 6}
	}
	for range r.draw(4) {
		frames = append(frames, r.frame(f))
	}
	switch r.draw(4) {
	case 0:
		frames = append(frames, Output("result"), End())
	case 1:
		frames = append(frames, Suspension([]uint32{uint32(1 + r.draw(8))}, []uint32{1, 17}))
	}
	if index := inv.Journal; index != nil {
		f.Seen = uint32(r.draw(int(index.Entries-index.Commands) + 1))
	}
	if f.Pin == nil && f.Callees == nil && f.Seen == 0 {
		return h, nil, frames
	}
	return h, f, frames
}

func (r *Random) frame(f *storedv1.StepFacts) []byte {
	completion := uint32(1 + r.draw(8))
	name := fmt.Sprint("n", r.draw(3))
	switch r.draw(21) {
	case 13:
		return GetPromise(name, completion)
	case 14:
		return PeekPromise(name, completion)
	case 15:
		return ResolvePromise(name, completion, "resolved")
	case 16:
		return Attach(ID(r.draw(IDs)), completion)
	case 17:
		return GetOutput(ID(r.draw(IDs)), completion)
	case 18:
		return SendSignal(ID(r.draw(IDs)), uint32(1+r.draw(20)), "signal")
	case 19:
		return SendNamedSignal(ID(r.draw(IDs)), name, uint32(r.draw(2)*400), "named")
	case 20:
		return Cancel(ID(r.draw(IDs)))
	case 0:
		return Run(completion)
	case 1, 2:
		return RunDone(completion, "run")
	case 3:
		return Sleep(completion, r.time+int64(r.draw(200))-50)
	case 4:
		return SetState(name, fmt.Sprint(completion))
	case 5:
		return ClearState(name)
	case 6:
		return ClearAllState()
	case 7:
		return GetLazyState(name, completion)
	case 8:
		return GetLazyStateKeys(completion)
	case 9, 10:
		i := ID(r.draw(IDs))
		f.Callees = append(f.Callees, &storedv1.Callee{Id: i[:], Facts: &storedv1.InvokeFacts{Target: r.target(), CompletionRetentionMs: int64(100 * r.draw(2))}})
		if completion%2 == 0 {
			return OneWayCall(completion, r.time+int64(r.draw(200))-50, "send")
		}
		return Call(completion, completion+1, "call")
	case 11:
		return CompleteAwakeable(id.FormatAwakeable(ID(r.draw(IDs)), uint32(17+r.draw(2))), "awake")
	default:
		return Output("early")
	}
}

func (r *Random) fire() (command.Header, command.Facts, [][]byte) {
	t := partition.Timer{Due: 1, ID: r.near(), Incarnation: 1, Kind: partition.TimerSleep, Index: 1}
	timers := slices.SortedFunc(maps.Keys(r.st.timers), func(a, b partition.Timer) int {
		if timerLine(a) < timerLine(b) {
			return -1
		}
		return 1
	})
	if len(timers) > 0 {
		t = timers[r.draw(len(timers))]
		r.time = max(r.time, t.Due)
	}
	return command.Header{Kind: command.Fire, ID: t.ID, Incarnation: lsn.LSN(t.Incarnation)},
		&storedv1.TimerFacts{DueMs: t.Due, Kind: uint32(t.Kind), Index: t.Index}, nil
}

func (r *Random) giveUp(kind int) (h command.Header, facts command.Facts, frames [][]byte) {
	inv := r.some(storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED)
	if inv == nil {
		return command.Header{Kind: command.Read, ID: r.near()}, nil, nil
	}
	h = r.attempt(inv)
	if kind%2 == 0 {
		h.Kind = command.Pause
		return h, &storedv1.PauseFacts{Failure: &storedv1.AttemptFailure{Code: 500, Message: "boom"}}, nil
	}
	h.Kind = command.Fail
	return h, &storedv1.FailFacts{Failure: &storedv1.Failure{Code: 500, Message: "boom"}}, nil
}

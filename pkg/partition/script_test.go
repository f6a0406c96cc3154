package partition_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/journal"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// TestScripts runs the stories in testdata: one partition, 0 of 2, command by command. Invocations have
// names; those that begin with "far" live in partition 1.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return w.run(t, d) })
	})
}

type world struct {
	st    *partitiontest.State
	names map[id.Invocation]string
	epoch lsn.Epoch
	seq   uint64
	time  int64
	// outbox has the messages of the partition to itself.
	outbox map[uint64][]byte
}

func newWorld() *world {
	return &world{st: partitiontest.New(), names: map[id.Invocation]string{}, time: 1000, outbox: map[uint64][]byte{}}
}

func (w *world) id(name string) id.Invocation {
	var unique [16]byte
	copy(unique[:], name)
	key := id.Hash(name) >> 1
	if strings.HasPrefix(name, "far") {
		key |= 1 << 63
	}
	i := id.NewInvocation(key, unique)
	w.names[i] = name
	return i
}

func (w *world) name(i id.Invocation) string {
	if n, ok := w.names[i]; ok {
		return n
	}
	return i.String()
}

// args of one command of a script.
type args struct {
	d *datadriven.TestData
}

func (a args) str(key, otherwise string) string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key && len(arg.Vals) > 0 {
			return arg.Vals[0]
		}
	}
	return otherwise
}

func (a args) has(key string) bool {
	return slices.ContainsFunc(a.d.CmdArgs, func(arg datadriven.CmdArg) bool { return arg.Key == key })
}

func (a args) num(key string, otherwise int64) int64 {
	v, err := strconv.ParseInt(a.str(key, strconv.FormatInt(otherwise, 10)), 10, 64)
	if err != nil {
		panic(err)
	}
	return v
}

func (a args) first() string {
	if len(a.d.CmdArgs) == 0 {
		return ""
	}
	return a.d.CmdArgs[0].Key
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	a := args{d}
	switch d.Cmd {
	case "rows":
		return w.rows(a)
	case "restart":
		w.st = w.st.Clone()
		return "ok"
	case "patch-states": // COUNT of them
		var last string
		for range a.num("count", 1) {
			d.Cmd = "patch-state"
			h, facts, _ := w.command(t, a)
			raw, err := command.Append(nil, h, facts)
			if err != nil {
				t.Fatal(err)
			}
			last = w.apply(t, a, h.Kind, raw)
		}
		return last
	case "deliver": // what the partition left in its outbox for itself
		raw := w.outbox[uint64(a.num("seq", 1))]
		a.d.CmdArgs = nil
		return w.apply(t, a, command.Invoke, slices.Clone(raw))
	case "pending":
		var effects []partition.Effect
		p := w.st.Pending()
		for done := false; !done; {
			var err error
			if effects, done, err = p.Next(2, effects); err != nil {
				return "error: " + err.Error()
			}
		}
		return w.print(effects)
	}
	h, facts, frames := w.command(t, a)
	h.SourceSeq = uint64(a.num("source-seq", 0))
	h.Source = id.Partition(a.num("source", 1))
	raw, err := command.Append(nil, h, facts, frames...)
	if err != nil {
		t.Fatal(err)
	}
	if h.SourceSeq > 0 {
		command.SetSource(raw, h.Source, h.SourceSeq)
	}
	return w.apply(t, a, h.Kind, raw)
}

func (w *world) apply(t *testing.T, a args, kind command.Kind, raw []byte) string {
	w.time = a.num("time", w.time+1)
	epoch := lsn.Epoch(a.num("epoch", int64(w.epoch)))
	seq := uint64(a.num("seq", int64(w.seq+1)))
	if kind == command.Announce {
		seq = 0
	}
	at := w.st.Meta().Applied + uint64(a.num("skip", 0)) + 1
	command.Stamp(raw, 0, lsn.LSN(at), epoch, seq, w.time)
	rec, err := command.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	effects, err := partition.Apply(w.st, rec, nil)
	for _, e := range effects {
		if e.Kind == partition.EffectOutbox && e.Target == 0 {
			w.outbox[e.Seq] = e.Record
		}
	}
	w.epoch, w.seq = lsn.Epoch(w.st.Meta().Epoch), w.st.Meta().Seq
	if err != nil {
		return fmt.Sprintf("%serror: %v", w.print(effects), err)
	}
	if len(effects) == 0 {
		return "nothing"
	}
	if a.has("brief") {
		return w.brief(effects)
	}
	return w.print(effects)
}

var targets = map[string]struct {
	service storedv1.ServiceType
	handler storedv1.HandlerType
}{
	"service":         {storedv1.ServiceType_SERVICE_TYPE_SERVICE, 0},
	"object":          {storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE},
	"shared":          {storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.HandlerType_HANDLER_TYPE_SHARED},
	"workflow":        {storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, storedv1.HandlerType_HANDLER_TYPE_WORKFLOW},
	"workflow-shared": {storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, storedv1.HandlerType_HANDLER_TYPE_SHARED},
}

func target(kind, name string) *storedv1.Target {
	service, key, _ := strings.Cut(name, "/")
	t := targets[kind]
	return &storedv1.Target{Service: service, Handler: "h", Key: key, ServiceType: t.service, HandlerType: t.handler}
}

func (w *world) facts(a args) *storedv1.InvokeFacts {
	f := &storedv1.InvokeFacts{
		Target: target("service", "Greeter"), CompletionRetentionMs: a.num("retain", 0), JournalRetentionMs: a.num("journal", 0),
		ExecuteAtMs: a.num("at", 0),
	}
	if request := a.str("request", ""); request != "" {
		f.Request = []byte(request)
	}
	for kind := range targets {
		if name := a.str(kind, ""); name != "" {
			f.Target = target(kind, name)
		}
	}
	if caller := a.str("caller", ""); caller != "" {
		i := w.id(caller)
		f.CallerId = i[:]
		f.Sink = &storedv1.Sink{Invocation: i[:], Incarnation: uint64(a.num("caller-life", 1)), CompletionId: uint32(a.num("completion", 1))}
	}
	return f
}

// command makes the command that a line of a script asks for.
func (w *world) command(t *testing.T, a args) (h command.Header, facts command.Facts, frames [][]byte) {
	h.ID = w.id(a.first())
	if inv, _ := w.st.Invocation(h.ID); inv != nil {
		h.Incarnation, h.Activation = lsn.LSN(inv.Row.Incarnation), lsn.LSN(inv.Row.Activation)
	}
	h.Incarnation = lsn.LSN(a.num("life", int64(h.Incarnation)))
	h.Activation = lsn.LSN(a.num("activation", int64(h.Activation)))
	h.Attempt = uint32(a.num("attempt", 1))
	switch a.d.Cmd {
	case "announce":
		from, to := id.Range(id.Partition(a.num("partition", 0)), 2)
		h = command.Header{Kind: command.Announce}
		facts = &storedv1.Announcement{Node: 1, Generation: 1, KeyFrom: uint64(from), KeyTo: uint64(to), Partitions: 2}
	case "invoke":
		h = command.Header{Kind: command.Invoke, ID: h.ID, Frames: 1}
		facts, frames = w.facts(a), [][]byte{partitiontest.Input(a.str("body", "in"))}
	case "step":
		h.Kind = command.Step
		f := &storedv1.StepFacts{}
		if a.has("pin") {
			f.Pin = &storedv1.Pin{Deployment: make([]byte, 16), ProtocolVersion: uint32(a.num("pin", 5))}
		}
		f.Seen = uint32(a.num("seen", 0))
		frames = w.frames(t, a.d.Input, f)
		facts = f
		if f.Pin == nil && f.Callees == nil && f.Seen == 0 {
			facts = nil
		}
	case "fire":
		kind := map[string]partition.TimerKind{
			"sleep": partition.TimerSleep, "start": partition.TimerStart, "forget": partition.TimerForget,
		}[a.str("kind", "sleep")]
		h.Kind = command.Fire
		facts = &storedv1.TimerFacts{DueMs: a.num("due", 0), Kind: uint32(kind), Index: uint32(a.num("index", 0))}
	case "respond", "signal":
		h.Kind = map[string]command.Kind{"respond": command.Respond, "signal": command.Signal}[a.d.Cmd]
		if a.d.Cmd == "signal" {
			h.Incarnation = 0
		}
		frames = w.frames(t, a.d.Input, nil)
	case "attach": // attach NAME caller=NAME completion=N [output]: the command of another partition
		h.Kind, h.Incarnation = command.Attach, 0
		facts = &storedv1.AttachFacts{Sink: w.facts(a).Sink, Output: a.has("output")}
	case "share": // share VALUE [promise], and a line NAME COMPLETION LIFE [attached] for each who waits: of another partition
		h, facts = w.share(a)
	case "truncate":
		h.Kind = command.TruncateOutbox
		facts = &storedv1.TruncateOutbox{Target: uint32(a.num("target", 0)), Through: uint64(a.num("through", 0))}
	case "read":
		h.Kind = command.Read
	case "pause":
		h.Kind = command.Pause
		facts = &storedv1.PauseFacts{Failure: &storedv1.AttemptFailure{Code: 500, Message: "boom", DocCode: "RT0007"}}
	case "fail":
		h.Kind = command.Fail
		facts = &storedv1.FailFacts{Failure: &storedv1.Failure{Code: 500, Message: "boom"}}
	case "barrier":
		h = command.Header{Kind: command.Barrier}
		facts = &storedv1.BarrierFacts{Version: uint32(a.num("version", 0))}
	case "unknown":
		h.Kind = 200
	default:
		h.Kind, facts = w.operation(t, a, &h)
	}
	return h, facts, frames
}

var operations = map[string]command.Kind{
	"cancel": command.Cancel, "kill": command.Kill, "hold": command.Hold, "resume": command.Resume, "restart-as-new": command.Restart,
	"purge": command.Purge, "purge-journal": command.PurgeJournal, "patch-state": command.PatchState, "expire": command.Expire, "event": command.Event,
}

// operation makes what people ask for, and what follows from time.
func (w *world) operation(t *testing.T, a args, h *command.Header) (kind command.Kind, facts command.Facts) {
	kind = operations[a.d.Cmd]
	var choice *storedv1.Choice
	if a.has("deployment") {
		choice = &storedv1.Choice{
			Deployment:         []byte(fmt.Sprintf("%-16s", a.str("deployment", ""))),
			MinProtocolVersion: uint32(a.num("min", 5)), MaxProtocolVersion: uint32(a.num("max", 6)), Newest: a.has("newest"),
		}
	}
	switch kind {
	case command.Resume:
		facts = &storedv1.ResumeFacts{Deployment: choice}
	case command.Restart:
		i := w.id(a.str("as", "again"))
		copy(i[:8], h.ID[:8])
		w.names[i] = a.str("as", "again")
		facts = &storedv1.RestartFacts{Id: i[:], From: uint32(a.num("from", 0)), Deployment: choice, Keep: a.has("keep")}
	case command.PatchState:
		f := &storedv1.PatchStateFacts{}
		f.Service, f.Key, _ = strings.Cut(a.first(), "/")
		h.ID = id.NewInvocation(id.Hash(f.Key), [16]byte{})
		if a.has("version") {
			v := a.str("version", "")
			f.Version = &v
		}
		for line := range strings.Lines(a.d.Input) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			f.Entries = append(f.Entries, &storedv1.StateEntry{Name: []byte(name), Value: []byte(value)})
		}
		facts = f
	case command.Expire:
		f := &storedv1.ExpireFacts{}
		for _, arg := range a.d.CmdArgs {
			if inv, _ := w.st.Invocation(w.id(arg.Key)); inv != nil && arg.Key != "time" {
				f.Lives = append(f.Lives, partition.LifeOf(inv))
			}
		}
		h.ID, facts = id.Invocation{}, f
	case command.Event:
		facts = &storedv1.EventFacts{Failure: &storedv1.AttemptFailure{Code: uint32(a.num("code", 500)), Message: a.str("message", "boom"), DocCode: "RT0007"}}
	case 0:
		t.Fatalf("unknown command %s", a.d.Cmd)
	}
	return kind, facts
}

// frames reads one frame from each line: name, then words. "call" and "send" take what Apply needs of the callee.
func (w *world) frames(t *testing.T, input string, facts *storedv1.StepFacts) (frames [][]byte) {
	for line := range strings.Lines(input) {
		f := strings.Fields(line)
		num := func(i int) uint32 {
			v, err := strconv.ParseUint(f[i], 10, 32)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return uint32(v)
		}
		var frame []byte
		switch f[0] {
		case "run":
			frame = partitiontest.Run(num(1))
		case "done":
			frame = partitiontest.RunDone(num(1), f[2])
		case "sleep":
			frame = partitiontest.Sleep(num(1), int64(num(2)))
		case "set":
			frame = partitiontest.SetState(f[1], f[2])
		case "clear":
			frame = partitiontest.ClearState(f[1])
		case "clear-all":
			frame = partitiontest.ClearAllState()
		case "get":
			frame = partitiontest.GetLazyState(f[1], num(2))
		case "keys":
			frame = partitiontest.GetLazyStateKeys(num(1))
		case "call", "send": // call NAME KIND TARGET ID-COMPLETION COMPLETION, send NAME KIND TARGET ID-COMPLETION AT
			i := w.id(f[1])
			facts.Callees = append(facts.Callees, &storedv1.Callee{Id: i[:], Facts: &storedv1.InvokeFacts{Target: target(f[2], f[3])}})
			if frame = partitiontest.Call(num(4), num(5), "from-call"); f[0] == "send" {
				frame = partitiontest.OneWayCall(num(4), int64(num(5)), "from-send")
			}
		case "sends": // sends COUNT PREFIX FIRST-COMPLETION: as many sends to PREFIX0, PREFIX1, ...
			for n := range num(1) {
				i := w.id(fmt.Sprint(f[2], n))
				facts.Callees = append(facts.Callees, &storedv1.Callee{Id: i[:], Facts: &storedv1.InvokeFacts{Target: target("service", "Greeter")}})
				frame = append(frame, partitiontest.OneWayCall(num(3)+n, 0, "from-send")...)
			}
		case "unresolved-call":
			frame = partitiontest.Call(num(1), num(2), "x")
		case "awakeable": // awakeable NAME INDEX VALUE
			frame = partitiontest.CompleteAwakeable(id.FormatAwakeable(w.id(f[1]), num(2)), f[3])
		case "get-promise": // get-promise NAME COMPLETION, peek-promise NAME COMPLETION
			frame = partitiontest.GetPromise(f[1], num(2))
		case "get-promises": // get-promises COUNT NAME FIRST-COMPLETION
			for n := range num(1) {
				frame = append(frame, partitiontest.GetPromise(f[2], num(3)+n)...)
			}
		case "peek-promise":
			frame = partitiontest.PeekPromise(f[1], num(2))
		case "resolve-promise": // resolve-promise NAME COMPLETION VALUE
			frame = partitiontest.ResolvePromise(f[1], num(2), f[3])
		case "reject-promise": // reject-promise NAME COMPLETION CODE MESSAGE
			frame = partitiontest.RejectPromise(f[1], num(2), num(3), f[4])
		case "attach": // attach NAME COMPLETION, get-output NAME COMPLETION
			frame = partitiontest.Attach(w.id(f[1]), num(2))
		case "get-output":
			frame = partitiontest.GetOutput(w.id(f[1]), num(2))
		case "attach-workflow": // attach-workflow SERVICE KEY COMPLETION
			w.names[id.WorkflowInvocation(f[1], f[2])] = "run-of-" + f[2]
			frame = partitiontest.AttachWorkflow(f[1], f[2], num(3))
		case "send-signal": // send-signal NAME INDEX VALUE
			frame = partitiontest.SendSignal(w.id(f[1]), num(2), f[3])
		case "send-named": // send-named NAME SIGNAL CODE VALUE; code 0 is success
			frame = partitiontest.SendNamedSignal(w.id(f[1]), f[2], num(3), f[4])
		case "cancel": // cancel NAME
			frame = partitiontest.Cancel(w.id(f[1]))
		case "suspend-names": // suspend-names NAME...
			frame = partitiontest.SuspensionOnNames(nil, []uint32{serviceproto.SignalCancel}, f[1:]...)
		case "output":
			frame = partitiontest.Output(f[1])
		case "output-long": // output-long BYTES
			frame = partitiontest.Output(strings.Repeat("x", int(num(1))))
		case "output-failure":
			frame = partitiontest.OutputFailure(num(1), f[2])
		case "output-why": // output-why CODE MESSAGE: a failure with metadata
			frame = partitiontest.OutputFailureWhy(num(1), f[2])
		case "failed": // failed COMPLETION CODE MESSAGE: of a run, with metadata
			frame = serviceproto.AppendFailure(nil, serviceproto.TypeRunCompletion, num(1), &storedv1.Failure{
				Code: num(2), Message: f[3], Metadata: []*storedv1.FailureMetadata{{Key: "why", Value: f[3]}},
			})
		case "reject-awakeable": // reject-awakeable NAME INDEX CODE MESSAGE
			frame = partitiontest.RejectAwakeable(id.FormatAwakeable(w.id(f[1]), num(2)), num(3), f[4])
		case "end":
			frame = partitiontest.End()
		case "suspend": // suspend COMPLETION...
			var ids []uint32
			for i := range f[1:] {
				ids = append(ids, num(i+1))
			}
			frame = partitiontest.Suspension(ids, []uint32{serviceproto.SignalCancel})
		case "tree": // tree COMPLETION: a suspension of version 7 that waits for nothing else
			frame = partitiontest.SuspensionTree(&servicev1.Future{WaitingCompletions: []uint32{num(1)}, CombinatorType: servicev1.CombinatorType_COMBINATOR_TYPE_FIRST_COMPLETED})
		case "cancel-or-all": // cancel-or-all NAME COMPLETION: version 7, a cancellation or both
			frame = partitiontest.SuspensionTree(&servicev1.Future{
				CombinatorType: servicev1.CombinatorType_COMBINATOR_TYPE_FIRST_COMPLETED, WaitingSignals: []uint32{serviceproto.SignalCancel},
				NestedFutures: []*servicev1.Future{{
					CombinatorType:     servicev1.CombinatorType_COMBINATOR_TYPE_ALL_COMPLETED,
					WaitingCompletions: []uint32{num(2)}, WaitingNamedSignals: []string{f[1]},
				}},
			})
		case "named-signal": // named-signal NAME VALUE
			frame = partitiontest.Frame(serviceproto.TypeSignalNotification, &servicev1.Notification{
				Id:     &servicev1.Notification_SignalName{SignalName: f[1]},
				Result: &servicev1.Notification_Value{Value: &servicev1.Value{Content: []byte(f[2])}},
			})
		case "suspend-signals": // suspend-signals INDEX...
			var indexes []uint32
			for i := range f[1:] {
				indexes = append(indexes, num(i+1))
			}
			frame = partitiontest.Suspension(nil, indexes)
		case "attach-done":
			frame = serviceproto.AppendValue(nil, serviceproto.TypeAttachInvocationCompletion, num(1), []byte(f[2]))
		case "output-done":
			frame = serviceproto.AppendVoid(nil, serviceproto.TypeGetInvocationOutputCompletion, num(1))
		case "cancel-signal":
			frame = serviceproto.AppendSignalVoid(nil, serviceproto.SignalCancel)
		case "suspend-only": // without an eye on cancellation
			frame = partitiontest.Suspension([]uint32{num(1)}, nil)
		case "call-done":
			frame = serviceproto.AppendValue(nil, serviceproto.TypeCallCompletion, num(1), []byte(f[2]))
		case "signal":
			frame = serviceproto.AppendSignalValue(nil, num(1), []byte(f[2]))
		case "garbage": // a Sleep that does not decode
			frame = serviceproto.AppendFrame(nil, serviceproto.TypeSleep, []byte{0xFF})
		case "later": // a command that no release has yet
			frame = serviceproto.AppendFrame(nil, 0x0415, nil)
		default:
			t.Fatalf("unknown frame %q", line)
		}
		frames = append(frames, frame)
	}
	return frames
}

// rows prints rows whose line holds all the words that follow, or all rows.
func (w *world) rows(a args) string {
	var out []string
	for i, name := range w.names {
		inv, _ := w.st.Invocation(i)
		if inv == nil {
			continue
		}
		out = append(out, w.invocationRow(name, &inv.Row))
		if inv.Row.QueuePosition != 0 {
			continue
		}
		_ = w.st.JournalRows(inv, func(r journal.Row) error {
			out = append(out, fmt.Sprintf("%s journal %d: %s", name, r.First, w.printFrames(r.Frames)))
			return nil
		})
	}
	for line := range strings.Lines(w.st.Dump()) {
		for _, kind := range []string{"lock", "queue", "change", "event", "state", "promise", "timer", "outbox", "source"} {
			if strings.HasPrefix(line, kind+" ") {
				out = append(out, w.rename(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	slices.Sort(out)
	out = slices.DeleteFunc(out, func(line string) bool {
		return slices.ContainsFunc(a.d.CmdArgs, func(arg datadriven.CmdArg) bool { return !strings.Contains(line, arg.Key) })
	})
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, "\n")
}

func (w *world) rename(line string) string {
	if key, value, ok := strings.Cut(line, " = "); ok && strings.HasPrefix(line, "lock ") { // the holder, how many wait, from where on
		if waiting, err := strconv.ParseUint(value[48:56], 16, 32); err == nil {
			line = fmt.Sprintf("%s = %s, %d wait", key, value[:48], waiting)
		}
	}
	line = strings.ReplaceAll(line, fmt.Sprintf("%x", make([]byte, 24)), "change")
	for i, name := range w.names {
		line = strings.ReplaceAll(strings.ReplaceAll(line, i.String(), name), fmt.Sprintf("%x", i[:]), name)
	}
	at := strings.Index(line, " = ")
	switch {
	case (strings.HasPrefix(line, "outbox ") || strings.HasPrefix(line, "change ") && strings.Contains(line, "position")) && at > 0:
		return line[:at]
	case strings.HasPrefix(line, "promise ") && at > 0:
		return w.promiseRow(line[:at])
	case strings.HasPrefix(line, "event ") && at > 0:
		b, err := hex.DecodeString(line[at+3:])
		e := &storedv1.JournalEvent{}
		if err == nil && e.UnmarshalVT(b) == nil {
			line = fmt.Sprintf("%s = %s after %d: %d %q", line[:at], strings.TrimPrefix(e.Type.String(), "JOURNAL_EVENT_TYPE_"), e.AfterEntry, e.Failure.GetCode(), e.Failure.GetMessage())
		}
	}
	return line
}

// promiseRow prints a promise by what it holds.
func (w *world) promiseRow(key string) string {
	var service, object, name string
	if _, err := fmt.Sscanf(strings.Replace(key, "/", " ", 1), "promise %s %q %q", &service, &object, &name); err != nil {
		return key + ": " + err.Error()
	}
	p := partition.Promise{Service: service, Key: object, Name: name}
	row, _ := w.st.Promise(p)
	if row.Result != nil {
		key += " " + printResult(row.Result)
	}
	_ = w.st.Waiters(p, func(_ uint64, s *storedv1.Sink) error {
		key += fmt.Sprintf(" waits=%s/%d", w.name(id.Invocation(s.Invocation)), s.CompletionId)
		return nil
	})
	return key
}

func (w *world) invocationRow(name string, r *storedv1.Invocation) string {
	status := strings.ToLower(strings.TrimPrefix(r.Status.String(), "INVOCATION_STATUS_"))
	line := fmt.Sprintf("%s %s life=%d activation=%d", name, status, r.Incarnation, r.Activation)
	for _, s := range r.Sinks {
		line += fmt.Sprintf(" answers=%s/%d", w.name(id.Invocation(s.Invocation)), s.CompletionId)
	}
	if r.Failure != nil {
		line += fmt.Sprintf(" failure=%s %q", r.Failure.DocCode, r.Failure.Message)
	}
	if r.Pin != nil {
		line += fmt.Sprintf(" pin=%d", r.Pin.ProtocolVersion)
		if d := strings.TrimSpace(strings.Trim(string(r.Pin.Deployment), "\x00")); d != "" {
			line += " at " + d
		}
	}
	if r.Pausing {
		line += " pausing"
	}
	if r.RestartedFrom != nil {
		line += " restarted-from=" + w.name(id.Invocation(r.RestartedFrom))
	}
	if r.Result != nil {
		line += " result=" + printResult(r.Result) + fmt.Sprintf(" entries=%d", r.JournalEntries)
	}
	return line
}

func printResult(r *storedv1.Result) string {
	if f := r.GetFailure(); f != nil {
		text := fmt.Sprintf("failure %d %q", f.Code, f.Message)
		for _, m := range f.Metadata {
			text += fmt.Sprintf(" %s=%q", m.Key, m.Value)
		}
		return text
	}
	return fmt.Sprintf("%q", r.GetValue())
}

func (w *world) printFrames(b []byte) string {
	var all []string
	for len(b) > 0 {
		f, rest, ok, err := serviceproto.NextFrame(b, 1<<30)
		if err != nil || !ok {
			return "malformed"
		}
		b = rest
		text := f.Type.String()
		if f.Type.IsNotification() {
			n, err := serviceproto.ScanNotification(f)
			if err != nil {
				return "malformed"
			}
			switch {
			case n.HasSignal && n.SignalIndex == 0:
				text += fmt.Sprintf("[%s]", n.SignalName)
			case n.HasSignal:
				text += fmt.Sprintf("[%d]", n.SignalIndex)
			default:
				text += fmt.Sprintf("(%d)", n.CompletionID)
			}
			if r, err := serviceproto.CompletionResult(f.Payload); err == nil && r != nil {
				text += "=" + printResult(r)
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// brief counts effects, and prints the outbox alone.
func (w *world) brief(effects []partition.Effect) string {
	count := map[partition.EffectKind]int{}
	var outbox []partition.Effect
	for _, e := range effects {
		count[e.Kind]++
		if e.Kind == partition.EffectOutbox {
			outbox = append(outbox, e)
		}
	}
	return fmt.Sprintf("%d started\n", count[partition.EffectStart]) + w.print(outbox)
}

func (w *world) share(a args) (command.Header, command.Facts) {
	f := &storedv1.ShareFacts{Promise: a.has("promise"), Result: &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte(a.first())}}}
	for line := range strings.Lines(a.d.Input) {
		var name, attached string
		var completion uint32
		var life uint64
		_, _ = fmt.Sscan(line, &name, &completion, &life, &attached) // the last is seldom there
		i := w.id(name)
		f.Sinks = append(f.Sinks, &storedv1.Sink{Invocation: i[:], Incarnation: life, CompletionId: completion, Attached: attached != ""})
	}
	return command.Header{Kind: command.Share, ID: id.Invocation(f.Sinks[0].Invocation)}, f
}

// printMessage prints what a message holds; of a Share for whom it is: the first and the last of them, if they are many.
func (w *world) printMessage(rec command.Record) string {
	if rec.Kind != command.Share && len(rec.Body) > 1000 {
		return fmt.Sprintf("%d bytes", len(rec.Body))
	}
	if rec.Kind != command.Share {
		return w.printFrames(rec.Body)
	}
	var facts storedv1.ShareFacts
	if err := facts.UnmarshalVT(rec.Facts); err != nil {
		return "malformed: " + err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d bytes for %d:", facts.Result.SizeVT(), len(facts.Sinks))
	for n, s := range facts.Sinks {
		if n > 2 && n < len(facts.Sinks)-1 {
			continue
		}
		fmt.Fprintf(&b, " %s@%d/%d", w.name(id.Invocation(s.Invocation)), s.Incarnation, s.CompletionId)
	}
	return b.String()
}

func (w *world) print(effects []partition.Effect) string {
	var b strings.Builder
	for _, e := range effects {
		switch e.Kind {
		case partition.EffectStart:
			fmt.Fprintf(&b, "start %s activation=%d", w.name(e.ID), e.Activation)
		case partition.EffectForward:
			fmt.Fprintf(&b, "forward %s %d+%d %s", w.name(e.ID), e.First, e.Entries, w.printFrames(e.Frames))
		case partition.EffectStepped:
			fmt.Fprintf(&b, "stepped %s attempt=%d commands=%d dropped=%t", w.name(e.ID), e.Attempt, e.Entries, e.Dropped)
		case partition.EffectStop:
			fmt.Fprintf(&b, "stop %s activation=%d", w.name(e.ID), e.Activation)
		case partition.EffectAnswer:
			fmt.Fprintf(&b, "answer %s", printOutcome(e.Outcome))
		case partition.EffectCompleted:
			fmt.Fprintf(&b, "completed %s %s", w.name(e.ID), printOutcome(e.Outcome))
		case partition.EffectTimer:
			fmt.Fprintf(&b, "timer %s due=%d kind=%d index=%d life=%d", w.name(e.ID), e.Timer.Due, e.Timer.Kind, e.Timer.Index, e.Timer.Incarnation)
		case partition.EffectOutbox:
			rec, err := command.Parse(e.Record)
			if err != nil {
				return "malformed: " + err.Error()
			}
			fmt.Fprintf(&b, "outbox %d/%d kind=%d %s life=%d source=%d/%d %s",
				e.Target, e.Seq, rec.Kind, w.name(rec.ID), rec.Incarnation, rec.Source, rec.SourceSeq, w.printMessage(rec))
		case partition.EffectHold:
			fmt.Fprintf(&b, "hold %s activation=%d", w.name(e.ID), e.Activation)
		case partition.EffectRetry:
			fmt.Fprintf(&b, "retry %s activation=%d", w.name(e.ID), e.Activation)
		case partition.EffectLead:
			fmt.Fprintf(&b, "lead epoch=%d", e.Epoch)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var outcomes = map[command.OutcomeStatus]string{
	command.OutcomeAccepted: "accepted", command.OutcomePreviouslyAccepted: "previously-accepted", command.OutcomeCompleted: "completed",
	command.OutcomePending: "pending", command.OutcomeNotFound: "not-found",
	command.OutcomeUnderWay: "under-way", command.OutcomeAlreadyCompleted: "already-completed", command.OutcomeNotCompleted: "not-completed",
	command.OutcomeNotStarted: "not-started", command.OutcomeDeploymentFixed: "deployment-fixed", command.OutcomeProtocolMismatch: "protocol-mismatch",
	command.OutcomeNotRestartable: "not-restartable", command.OutcomeJournalGone: "journal-gone", command.OutcomeBadPrefix: "bad-prefix", command.OutcomeQueueFull: "queue-full",
}

func printOutcome(o *command.Outcome) string {
	text := outcomes[o.Status]
	if o.ExecuteAt != 0 {
		text += fmt.Sprintf(" at=%d", o.ExecuteAt)
	}
	if o.Result != nil {
		text += " " + printResult(o.Result)
	}
	if o.Stored {
		text += fmt.Sprintf(" stored until=%d", o.ExpiresAt)
	}
	if o.Workflow {
		text += " workflow"
	}
	return text
}

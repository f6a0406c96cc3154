package invoker

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/journal"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/schema"
	"reprise/pkg/span"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wait is the longest that a test waits for something that must happen, waitMany if that is very much.
const (
	wait     = 10 * time.Second
	waitMany = 2 * time.Minute
)

const partitions = 4

// loop is an Owner: one partition with the real state machine, a log that commits at once, and the
// test's goroutine as its loop.
type loop struct {
	spans *span.Recorder // nil: nothing is recorded

	t     *testing.T
	clock *hosttest.Clock
	v     *Invoker
	state *partitiontest.State
	cfg   Config
	reg   *schema.Registry

	wait    time.Duration
	seq     uint64
	lazy    bool // replays are read lazily
	hold    bool // committed records are not applied
	refuse  bool // Propose says no
	applied []command.Record
	results map[id.Invocation]*command.Outcome
	readers int // open

	mu     sync.Mutex
	recs   [][]byte
	events []Event
	wake   chan struct{}
}

var _ Owner = (*loop)(nil)

func (l *loop) Propose(_ id.Partition, rec []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse {
		return false
	}
	l.recs = append(l.recs, append([]byte(nil), rec...))
	l.wakeUp()
	return true
}

func (l *loop) Post(ev Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, ev)
	l.wakeUp()
}

func (l *loop) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *loop) Replay(_ id.Partition, i id.Invocation, eagerLimit int) (Replay, error) {
	inv, _ := l.state.Invocation(i)
	if inv == nil {
		return Replay{}, errors.New("no such invocation")
	}
	index, err := l.state.Journal(inv)
	if err != nil {
		return Replay{}, err
	}
	r := Replay{Entries: index.Entries, Commands: index.Commands, LastTime: index.LastTime, LastAttempt: index.LastAttempt}
	rd := &reader{l: l}
	_ = l.state.JournalRows(inv, func(row journal.Row) error {
		rd.rows = append(rd.rows, append([]byte(nil), row.Frames...))
		return nil
	})
	if inv.HasState() {
		service, key := inv.Row.Target.GetService(), inv.Row.Target.GetKey()
		names, _ := l.state.UserStateNames(service, key)
		for _, n := range names {
			value, _, _ := l.state.UserState(service, key, n)
			rd.state = append(rd.state, StateEntry{Key: n, Value: value})
		}
	}
	if l.lazy {
		l.mu.Lock()
		l.readers++
		l.mu.Unlock()
		r.Reader = rd
		return r, nil
	}
	r.Inline = true
	for _, row := range rd.rows {
		r.Frames = append(r.Frames, row...)
	}
	r.State, r.Partial, _ = rd.State(eagerLimit)
	return r, nil
}

type reader struct {
	l     *loop
	rows  [][]byte
	state []StateEntry
}

func (r *reader) State(limit int) (entries []StateEntry, partial bool, err error) {
	for _, e := range r.state {
		if limit -= len(e.Key) + len(e.Value); limit < 0 {
			return entries, true, nil
		}
		entries = append(entries, e)
	}
	return entries, false, nil
}

func (r *reader) Next() ([]byte, error) {
	if len(r.rows) == 0 {
		return nil, io.EOF
	}
	row := r.rows[0]
	r.rows = r.rows[1:]
	return row, nil
}

func (r *reader) Close() error {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	r.l.readers--
	return nil
}

// turn does what waits.
func (l *loop) turn() {
	l.mu.Lock()
	recs, events := l.recs, l.events
	if l.hold {
		recs = nil
	} else {
		l.recs = nil
	}
	l.events = nil
	l.mu.Unlock()
	var effects []partition.Effect
	for _, raw := range recs {
		effects = append(effects, l.apply(raw)...)
	}
	l.act(effects)
	for _, ev := range events {
		l.v.Handle(ev)
	}
	l.v.Flush()
}

func (l *loop) apply(raw []byte) []partition.Effect {
	l.t.Helper()
	l.seq++
	at := lsn.LSN(l.state.Meta().Applied + 1)
	seq := l.seq
	if raw[9] == byte(command.Announce) {
		seq, l.seq = 0, 0
	}
	command.Stamp(raw, 0, at, 1, seq, host.Millis(l.clock))
	rec, err := command.Parse(raw)
	if err != nil {
		l.t.Fatal(err)
	}
	effects, err := partition.Apply(l.state, rec, nil)
	if err != nil {
		l.t.Fatalf("apply: %v", err)
	}
	l.applied = append(l.applied, rec)
	return effects
}

func (l *loop) act(effects []partition.Effect) {
	for i := range effects {
		e := &effects[i]
		switch e.Kind {
		case partition.EffectStart:
			l.v.Start(activation(e))
		case partition.EffectForward:
			l.v.Forward(e.ID, e.First, e.Entries, e.Frames)
		case partition.EffectStepped:
			l.v.Stepped(e.ID, e.Attempt, e.Dropped, e.Entries)
		case partition.EffectStop:
			l.v.Stop(e.ID, e.Activation)
		case partition.EffectHold:
			l.v.Hold(e.ID, e.Activation)
		case partition.EffectRetry:
			l.v.Retry(e.ID, e.Activation)
		case partition.EffectCompleted:
			l.results[e.ID] = e.Outcome
		default:
		}
	}
}

func activation(e *partition.Effect) Activation {
	row := &e.Inv.Row
	return Activation{
		Partition: 0, Partitions: partitions, ID: e.ID, Incarnation: lsn.LSN(row.Incarnation), Activation: lsn.LSN(row.Activation),
		Target: row.Target, Pin: row.Pin, IdempotencyKey: row.IdempotencyKey, TraceParent: row.TraceParent, TraceState: row.TraceState,
		Holding: row.Pausing,
	}
}

// until turns until cond holds.
func (l *loop) until(what string, cond func() bool) {
	l.t.Helper()
	deadline := time.NewTimer(l.wait)
	defer deadline.Stop()
	for {
		l.turn()
		if cond() {
			return
		}
		if l.resting() {
			l.advance(100 * time.Millisecond)
			continue
		}
		select {
		case <-l.wake:
		case <-deadline.C:
			l.t.Fatalf("timed out: %s\n%s", what, l.state.Dump())
		}
	}
}

// spin turns until cond holds, which nobody tells the loop of.
func (l *loop) spin(what string, cond func() bool) {
	l.t.Helper()
	deadline := time.Now().Add(l.wait)
	for !cond() {
		if time.Now().After(deadline) {
			l.t.Fatalf("timed out: %s\n%s", what, l.state.Dump())
		}
		l.turn()
		runtime.Gosched()
	}
}

// resting tells whether nothing but time makes anything happen.
func (l *loop) resting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recs) > 0 || len(l.events) > 0 || len(l.v.runs) == 0 {
		return false
	}
	for _, r := range l.v.runs {
		if r.state != stateBackoff {
			return false
		}
	}
	return true
}

// settle turns until ch is closed by something else than the loop.
func (l *loop) settle(what string, ch <-chan struct{}) {
	l.t.Helper()
	g := lifecycle.NewGroup(context.Background())
	g.Go("waker", func(context.Context) error {
		select {
		case <-ch:
		case <-time.After(wait):
		}
		l.wakeUp()
		return nil
	})
	l.until(what, func() bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	})
	_ = g.Wait()
}

// advance moves the clock in ticks.
func (l *loop) advance(d time.Duration) {
	for ; d > 0; d -= 100 * time.Millisecond {
		l.clock.Advance(min(d, 100*time.Millisecond))
		l.v.Tick(host.Millis(l.clock))
		l.turn()
	}
}

// option changes a test's set-up.
type option func(l *loop, d *storedv1.Deployment)

func newLoop(t *testing.T, uri string, options ...option) *loop {
	t.Helper()
	l := &loop{
		t: t, clock: hosttest.NewClock(), wait: wait, state: partitiontest.New(), cfg: Default(),
		results: map[id.Invocation]*command.Outcome{}, wake: make(chan struct{}, 1),
	}
	l.cfg.AdditionalHeaders = append(l.cfg.AdditionalHeaders, field("x-restate-cluster-name", "test"))
	d := deployment(1, uri)
	for _, o := range options {
		o(l, d)
	}
	l.register(d)
	l.start()
	return l
}

func (l *loop) start() {
	h := hosttest.New(l.clock, 1)
	h.Spans = l.spans
	l.v = New(l.cfg, l, func() *schema.Registry { l.mu.Lock(); defer l.mu.Unlock(); return l.reg }, h)
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("invoker", l.v.Run)
	<-l.v.Ready()
	l.t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			l.t.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.readers != 0 {
			l.t.Errorf("%d readers were not closed", l.readers)
		}
	})
	from, to := id.Range(0, partitions)
	l.propose(command.Header{Kind: command.Announce}, &storedv1.Announcement{Node: 1, Generation: 1, KeyFrom: uint64(from), KeyTo: uint64(to), Partitions: partitions})
}

// register makes deployments the schema.
func (l *loop) register(ds ...*storedv1.Deployment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	version := uint64(1)
	if l.reg != nil {
		version = l.reg.Version() + 1
	}
	def := schema.Default()
	def.Retry.MaxAttempts = 6
	l.reg = schema.NewRegistry(&storedv1.Schema{Version: version, Deployments: ds}, def)
}

func (l *loop) propose(h command.Header, facts command.Facts, frames ...[]byte) {
	l.t.Helper()
	h.Frames = uint32(len(frames))
	rec, err := command.Append(nil, h, facts, frames...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Propose(0, rec)
}

// invoke creates an invocation of S/h, or of another handler if target names one.
func (l *loop) invoke(target *storedv1.Target, input string) id.Invocation {
	l.t.Helper()
	var unique [16]byte
	l.mu.Lock()
	binary.BigEndian.PutUint64(unique[8:], l.state.Meta().Applied+uint64(len(l.recs))+1)
	l.mu.Unlock()
	i := id.NewInvocation(1, unique)
	l.propose(command.Header{Kind: command.Invoke, ID: i}, &storedv1.InvokeFacts{
		Target: target, JournalRetentionMs: 3_600_000, CompletionRetentionMs: 3_600_000,
	}, partitiontest.Input(input))
	return i
}

func (l *loop) status(i id.Invocation) storedv1.InvocationStatus {
	inv, _ := l.state.Invocation(i)
	if inv == nil {
		return storedv1.InvocationStatus_INVOCATION_STATUS_UNSPECIFIED
	}
	return inv.Row.Status
}

// result waits for the end of an invocation.
func (l *loop) result(i id.Invocation) *storedv1.Result {
	l.t.Helper()
	l.until("result of "+i.String(), func() bool { return l.results[i] != nil })
	return l.results[i].Result
}

func (l *loop) wantValue(i id.Invocation, want string) {
	l.t.Helper()
	if got := l.result(i); string(got.GetValue()) != want || got.GetFailure() != nil {
		l.t.Fatalf("result %v, want %q", got, want)
	}
}

// wantStatus waits until an invocation has a status.
func (l *loop) wantStatus(i id.Invocation, want storedv1.InvocationStatus) {
	l.t.Helper()
	l.until(want.String(), func() bool { return l.status(i) == want })
}

// wantFailure waits for a pause and returns why.
func (l *loop) wantFailure(i id.Invocation, doc string) *storedv1.AttemptFailure {
	l.t.Helper()
	l.wantStatus(i, paused)
	inv, _ := l.state.Invocation(i)
	f := inv.Row.Failure
	if f.GetDocCode() != doc {
		l.t.Fatalf("failure %v, want %s", f, doc)
	}
	return f
}

// wantNothingHeld checks that all tokens and runs are given back.
func (l *loop) wantNothingHeld() {
	l.t.Helper()
	l.until("tokens given back", func() bool {
		running, queued := l.v.Running()
		return running == 0 && queued == 0 && len(l.v.runs) == 0
	})
	if attempts, bytes := l.v.limits.Held(); l.cfg.Limits == nil && (attempts != 0 || bytes != 0) {
		l.t.Fatalf("%d tokens and %d bytes are counted as held", attempts, bytes)
	}
	a, r := counterValue(l.v.metrics.acquired), counterValue(l.v.metrics.released)
	if a != r || a == 0 {
		l.t.Fatalf("%g tokens taken, %g given back", a, r)
	}
}

const (
	paused    = storedv1.InvocationStatus_INVOCATION_STATUS_PAUSED
	suspended = storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED
	completed = storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED
)

// service is the target of most tests.
func service(handler string) *storedv1.Target {
	return &storedv1.Target{Service: "S", Handler: handler, ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE}
}

func object(handler, key string) *storedv1.Target {
	t := &storedv1.Target{
		Service: "O", Handler: handler, Key: key, ServiceType: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT,
		HandlerType: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE,
	}
	if handler == "shared" {
		t.HandlerType = storedv1.HandlerType_HANDLER_TYPE_SHARED
	}
	return t
}

// deployment has a service S, an object O and a workflow W.
func deployment(n byte, uri string) *storedv1.Deployment {
	retries := uint32(3)
	quick := int64(100)
	return &storedv1.Deployment{
		Id: append(make([]byte, 15), n), Uri: uri, Bidi: true, MinProtocolVersion: 5, MaxProtocolVersion: 7,
		Services: []*storedv1.Service{
			{
				Name: "S", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: uint32(n),
				Options:  &storedv1.Options{RetryPolicy: &storedv1.RetryPolicy{InitialIntervalMs: &quick, MaxAttempts: &retries}},
				Handlers: []*storedv1.Handler{{Name: "h"}, {Name: "other"}},
			},
			{
				Name: "O", Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Revision: uint32(n),
				Options: &storedv1.Options{RetryPolicy: &storedv1.RetryPolicy{InitialIntervalMs: &quick, MaxAttempts: &retries}},
				Handlers: []*storedv1.Handler{
					{Name: "h", Type: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE}, {Name: "shared", Type: storedv1.HandlerType_HANDLER_TYPE_SHARED},
				},
			},
			{
				Name: "W", Type: storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, Revision: uint32(n),
				Handlers: []*storedv1.Handler{{Name: "run", Type: storedv1.HandlerType_HANDLER_TYPE_WORKFLOW}},
			},
		},
	}
}

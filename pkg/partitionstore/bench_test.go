package partitionstore_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/partitionstore"
)

// bench applies the life of invocations to a real store on a file system in memory. One batch holds
// the same command of clients invocations, as a turn of a busy loop does.
type bench struct {
	b       testing.TB
	s       *partitionstore.Store
	at      lsn.LSN
	n       uint64
	buf     []byte
	effects []partition.Effect
	ids     []id.Invocation
	born    []lsn.LSN
	timed   bool
	cpu     time.Duration // of the process, before the loop
}

const clients = 16

func newBench(b *testing.B) *bench {
	shared := partitionstore.NewShared(256 << 20)
	s, err := partitionstore.Open(partitionstore.Default(), hostOn(vfs.NewMem()), dir, shared)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
		_ = shared.Close()
	})
	return startBench(b, s)
}

func startBench(b testing.TB, s *partitionstore.Store) *bench {
	x := &bench{b: b, s: s, ids: make([]id.Invocation, clients), born: make([]lsn.LSN, clients)}
	x.record(command.Header{Kind: command.Announce}, &storedv1.Announcement{KeyTo: ^uint64(0), Partitions: 1})
	x.commit()
	return x
}

func (x *bench) record(h command.Header, facts command.Facts, frames ...[]byte) {
	var err error
	if x.buf, err = command.Append(x.buf[:0], h, facts, frames...); err != nil {
		x.b.Fatal(err)
	}
	x.at++
	command.Stamp(x.buf, 0, x.at, 1, uint64(x.at)-1, 1_700_000_000_000+int64(x.at))
	rec, err := command.Parse(x.buf)
	if err != nil {
		x.b.Fatal(err)
	}
	if x.effects, err = partition.Apply(x.s.View(), rec, x.effects); err != nil {
		x.b.Fatal(err)
	}
}

func (x *bench) commit() {
	if err := x.s.Commit(); err != nil {
		x.b.Fatal(err)
	}
	clear(x.effects)
	x.effects = x.effects[:0]
}

var (
	benchKey   = "01JBENCHBENCHBENCHBENCHBEN"
	benchFacts = &storedv1.InvokeFacts{
		Target:         &storedv1.Target{Service: "Greeter", Handler: "greet", ServiceType: storedv1.ServiceType_SERVICE_TYPE_SERVICE},
		IdempotencyKey: &benchKey, CompletionRetentionMs: 86_400_000, JournalRetentionMs: 86_400_000,
	}
	benchKeyFacts = &storedv1.InvokeFacts{
		Target: &storedv1.Target{
			Service: "Counter", Handler: "add", Key: "one", ServiceType: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT,
			HandlerType: storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE,
		},
	}
	benchPin   = &storedv1.StepFacts{Pin: &storedv1.Pin{Deployment: make([]byte, 16), ProtocolVersion: 6}}
	benchInput = partitiontest.Input(fmt.Sprintf("%0128d", 0))
	benchRuns  = [][]byte{benchRun(1), benchRun(2), benchRun(3)}
	benchEnd   = append(partitiontest.Output("hello"), partitiontest.End()...)
)

func benchRun(n uint32) []byte {
	return append(partitiontest.Run(n), partitiontest.RunDone(n, "result")...)
}

// enter creates clients invocations. Ids are hashes, as with an idempotency key, or begin with the time.
func (x *bench) enter(facts *storedv1.InvokeFacts) {
	for c := range x.ids {
		x.n++
		var unique [16]byte
		if x.timed {
			binary.BigEndian.PutUint64(unique[:], (1_700_000_000_000+x.n/16)<<16)
		}
		binary.LittleEndian.PutUint64(unique[6:], x.n*0x9E3779B97F4A7C15)
		x.ids[c] = id.NewInvocation(id.PartitionKey(x.n%512)<<50, unique)
		x.record(command.Header{Kind: command.Invoke, ID: x.ids[c], Frames: 1}, facts, benchInput)
		x.born[c] = x.at
	}
	x.commit()
}

// invoke creates invocations whose attempts start at once.
func (x *bench) invoke() {
	x.enter(benchFacts)
	for _, i := range x.ids { // an attempt starts
		inv, err := x.s.Invocation(i)
		if err != nil {
			x.b.Fatal(err)
		}
		if _, _, _, ok, err := x.s.ReadInline(inv, 1<<16, 0); err != nil || !ok {
			x.b.Fatal(ok, err)
		}
	}
}

func (x *bench) step(facts command.Facts, frames []byte) {
	for c, i := range x.ids {
		x.record(command.Header{Kind: command.Step, ID: i, Incarnation: x.born[c], Activation: x.born[c], Attempt: 1}, facts, frames)
	}
	x.commit()
}

// cpuTime is what the process used, flushes and compactions included.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (x *bench) start(b *testing.B) {
	b.ReportAllocs()
	x.cpu = cpuTime(b)
}

func (x *bench) report(b *testing.B, records int) {
	b.ReportMetric(float64((cpuTime(b)-x.cpu).Nanoseconds())/float64(b.N*clients), "cpu-ns/invocation")
	b.ReportMetric(float64(records), "records/invocation")
}

// BenchmarkEcho is Invoke, then Output and End: one op is 16 invocations.
func BenchmarkEcho(b *testing.B) {
	b.Run("ids=hash", func(b *testing.B) { benchEcho(b, false) })
	b.Run("ids=time", func(b *testing.B) { benchEcho(b, true) })
}

func benchEcho(b *testing.B, timed bool) {
	x := newBench(b)
	x.timed = timed
	x.start(b)
	for b.Loop() {
		x.invoke()
		x.step(benchPin, benchEnd)
	}
	x.report(b, 2)
}

// BenchmarkEchoFlushed flushes as often as a store does that shares the replay budget of a process with
// 23 others: what compactions cost shows.
func BenchmarkEchoFlushed(b *testing.B) {
	for _, timed := range []bool{false, true} {
		b.Run(map[bool]string{false: "ids=hash", true: "ids=time"}[timed], func(b *testing.B) {
			x := newBench(b)
			x.timed = timed
			x.start(b)
			for b.Loop() {
				x.invoke()
				x.step(benchPin, benchEnd)
				if x.s.Unflushed() >= 2500 {
					if err := x.s.Flush(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			}
			x.report(b, 2)
		})
	}
}

// BenchmarkOneKey has 16 invocations of one object key after another, each of which waits for those before it.
func BenchmarkOneKey(b *testing.B) {
	x := newBench(b)
	x.timed = true
	x.start(b)
	for b.Loop() {
		x.enter(benchKeyFacts)
		for c, i := range x.ids {
			inv, err := x.s.Invocation(i)
			if err != nil {
				b.Fatal(err)
			}
			activation := lsn.LSN(inv.Row.Activation)
			x.record(command.Header{Kind: command.Step, ID: i, Incarnation: x.born[c], Activation: activation, Attempt: 1}, benchPin, benchEnd)
			x.commit()
		}
	}
	x.report(b, 2)
}

// BenchmarkThreeSteps has three runs, each proposed with the next command, as an SDK does.
func BenchmarkThreeSteps(b *testing.B) {
	x := newBench(b)
	x.start(b)
	for b.Loop() {
		x.invoke()
		x.step(benchPin, benchRuns[0])
		x.step(nil, benchRuns[1])
		x.step(nil, benchRuns[2])
		x.step(nil, benchEnd)
	}
	x.report(b, 5)
}

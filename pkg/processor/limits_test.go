package processor_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/processor"
)

// Requests that the log does not commit are bounded; who comes too late is told so, and nothing is lost.
func TestRequestsAreBounded(t *testing.T) {
	for _, row := range []struct {
		name        string
		calls, size int
		input       string
		fit         int
	}{
		{"calls", 5, 1 << 20, "", 5},
		{"bytes", 1000, 10_000, strings.Repeat("x", 4_000), 2},
		{"one that is larger", 1000, 10_000, strings.Repeat("x", 40_000), 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			w.cfg.CallsMax, w.cfg.CallBytesMax = row.calls, row.size
			n := w.start("a")
			for round := range 3 {
				w.log.hold(true)
				var taken []<-chan answer
				for i := range row.fit {
					taken = append(taken, n.submit(echo.request(strconv.Itoa(round*100+i), row.input, command.WantCompleted)))
				}
				eventually(t, "they are proposed", func() bool { return w.log.waiting(0) == row.fit })
				_, err := n.Do(t.Context(), echo.request("late", row.input, command.WantCompleted))
				if !errs.Is(err, errs.Unavailable) {
					t.Errorf("one too many: %v", err)
				}
				w.log.hold(false)
				for _, ch := range taken {
					if a := n.answerOf(ch); a.err != nil || string(a.outcome.Result.GetValue()) != row.input {
						t.Errorf("%v", a.err)
					}
				}
				if round == 1 { // what a lost tenure held is given back too
					w.log.hold(true)
					lost := n.submit(echo.request("lost", row.input, command.WantCompleted))
					n.Depose(0, func() {})
					if a := n.answerOf(lost); a.err == nil {
						t.Error("a lost request was answered")
					}
					w.log.hold(false)
					n.want(echo, "lost", row.input, row.input)
				}
			}
			if got := n.gauge("reprise_processor_refused_records_total"); got != 3 {
				t.Errorf("%g were refused", got)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	w := newWorld(t, 2, 1)
	w.cfg.DeliveryBytesMax = 1000
	n := w.start("a")
	to := echo.request(w.nameIn(1, echo, "nobody"), "", 0).ID
	w.log.hold(true)
	acks := make(chan error, 100)
	seq := uint64(0)
	for {
		err := n.Accept(1, message(to, seq+1), func(err error) { acks <- err })
		if errs.Is(err, errs.Unavailable) {
			break
		}
		must(t, err)
		seq++
	}
	if bytes := int(seq) * command.HeaderSize; bytes > 1000 || bytes < 800 {
		t.Errorf("%d messages were taken", seq)
	}
	w.log.hold(false)
	for range seq {
		must(t, <-acks)
	}
	must(t, n.Accept(1, message(to, seq+1), func(err error) { acks <- err }))
	must(t, <-acks)
}

// A log-server takes messages of a bounded size, so a turn's records go as several groups.
func TestGroupsAreBounded(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	big := strings.Repeat("x", 3<<20)
	var answers []<-chan answer
	n.Busy(0, func() { // all are taken in one turn
		for i := range 5 {
			answers = append(answers, n.submit(echo.request(strconv.Itoa(i), big, command.WantCompleted)))
			answers = append(answers, n.submit(echo.request("small "+strconv.Itoa(i), "", command.WantAccepted)))
		}
	})
	for i, ch := range answers {
		a := n.answerOf(ch)
		if a.err != nil || i%2 == 0 && string(a.outcome.Result.GetValue()) != big || i%2 == 1 && a.outcome.Status != command.OutcomeAccepted {
			t.Errorf("answer %d: %v", i, a.err)
		}
	}
	w.log.groups(0, func(count uint32, records []byte) {
		if len(records) > 8<<20 {
			t.Errorf("a group of %d records has %d bytes", count, len(records))
		}
	})
}

// blockedFS holds back the creation of tables below a folder.
type blockedFS struct {
	vfs.FS
	folder string
	free   chan struct{}
}

func (f *blockedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(name, f.folder) && strings.HasSuffix(name, ".sst") {
		<-f.free
	}
	return f.FS.Create(name, c)
}

// A partition whose store cannot flush waits; the other one of its loop goes on.
func TestAStoreWithoutCreditIsWaitedFor(t *testing.T) {
	w := newWorld(t, 2, 1)
	fs := &blockedFS{FS: w.fs, folder: "a/0/", free: make(chan struct{})}
	w.host.FS = fs
	w.cfg.Store.MemTableBytes, w.cfg.Store.MemTablesMax = 256<<10, 1
	w.cfg.ReplayBudget = 1 << 40
	n := w.start("a")
	free := sync.OnceFunc(func() { close(fs.free) })
	t.Cleanup(free)
	var slow []<-chan answer
	input := strings.Repeat("x", 100<<10)
	for i := 0; !n.Starved(0); i++ {
		if i > 200 {
			t.Fatal("the store has credit for ever")
		}
		slow = append(slow, n.submit(echo.request(w.nameIn(0, echo, "slow"+strconv.Itoa(i)), input, command.WantCompleted)))
	}
	for i := range 10 {
		n.want(echo, w.nameIn(1, echo, "quick"+strconv.Itoa(i)), "hello", "hello")
	}
	last := n.submit(echo.request(w.nameIn(0, echo, "last"), "", command.WantAccepted))
	n.want(echo, w.nameIn(1, echo, "quick"), "hello", "hello")
	select {
	case a := <-last:
		t.Errorf("a partition without credit answered %+v, %v", a.outcome, a.err)
	default:
	}
	if n.gauge("reprise_processor_store_stalls_total") == 0 {
		t.Error("no stall is counted")
	}
	free()
	for _, ch := range append(slow, last) {
		if a := n.answerOf(ch); a.err != nil {
			t.Error(a.err)
		}
	}
}

// badPeers deliver, refuse, or lose the answer, as a network does.
type badPeers struct {
	to   func(id.Partition) *worker
	draw func(n int) int
}

func (b *badPeers) Send(target id.Partition, record []byte, acked func(error)) error {
	n := b.to(target)
	switch b.draw(12) {
	case 0:
		return errs.Newf(errs.Unavailable, "not sent")
	case 1: // lost on the way
		acked(errs.Newf(errs.Uncertain, "no answer"))
		return nil
	case 2: // its answer is lost
		acked(errs.Newf(errs.Uncertain, "no answer"))
		_ = n.Accept(target, record, func(error) {})
		return nil
	default:
		return n.Accept(target, record, acked)
	}
}

// Messages between nodes come once and in order, whatever the connections do.
func TestMessagesOverBadConnections(t *testing.T) {
	w := newWorld(t, 4, 1)
	w.cfg.LaneWindow, w.cfg.LaneBytesMax = 4, 2000
	l := newLoad(w, 11)
	w.peers = &badPeers{draw: l.draw, to: func(p id.Partition) *worker { return w.running()[p%2] }}
	a := w.launch("a")
	w.assign(func(p id.Partition) id.Node { return id.Node(1 + p%2) })
	w.start("b")
	a.awaitReady()
	l.run(4, 25, func() {
		for range 10 {
			for range 20 {
				pause(t.Context())
			}
			w.log.fail(id.Partition(l.draw(4)), 1)
		}
	})
}

// All partitions of a node together hold a bounded number of bytes, of requests and apart from them of messages. It may change while the
// node runs, and what was held is given back, also by a partition that is not led any more.
func TestNodeHoldsABoundedNumberOfBytes(t *testing.T) {
	const partitions = 4
	w := newWorld(t, partitions, 2)
	w.cfg.RequestBytesMax = 10_000
	n := w.start("a")
	input := strings.Repeat("x", 4_000)
	fill := func(round string, fit int) []<-chan answer {
		t.Helper()
		var taken []<-chan answer
		for p := range id.Partition(partitions) {
			ch := make(chan answer, 1)
			err := n.Submit(nil, 0, echo.request(w.nameIn(p, echo, round), input, command.WantCompleted), func(o *command.Outcome, err error) { ch <- answer{o, err} })
			if len(taken) < fit {
				must(t, err)
				taken = append(taken, ch)
			} else if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "of this node") {
				t.Errorf("%s: request %d: %v", round, p, err)
			}
		}
		return taken
	}
	done := func(taken []<-chan answer) {
		t.Helper()
		for _, ch := range taken {
			if a := n.answerOf(ch); a.err != nil || string(a.outcome.Result.GetValue()) != input {
				t.Errorf("%v", a.err)
			}
		}
	}
	w.log.hold(true)
	taken := fill("first", 2)
	if got := n.series("restate_memory_pool_usage_bytes")["/partition-leader-rpc"]; got < 8_000 || got > 10_000 {
		t.Errorf("%v bytes are shown", got)
	}
	policy := processor.Policy{RequestBytesMax: 1 << 20, TrimDelay: time.Hour, SnapshotsMax: 1}
	n.SetPolicy(policy)
	n.shows("restate_memory_pool_capacity_bytes", "/partition-leader-rpc", 1<<20)
	more := fill("second", partitions)
	for p := range id.Partition(partitions) {
		n.Depose(p, func() {})
	}
	for _, ch := range append(taken, more...) {
		if a := n.answerOf(ch); a.err == nil {
			t.Error("a request of a lost tenure was answered")
		}
	}
	w.log.hold(false)
	eventually(t, "all is given back", func() bool { return n.series("restate_memory_pool_usage_bytes")["/partition-leader-rpc"] == 0 })
	eventually(t, "all are led again", func() bool { return n.gauge("reprise_processor_led_partitions") == partitions })
	policy.RequestBytesMax = 10_000
	n.SetPolicy(policy)
	w.log.hold(true)
	taken = fill("third", 2)
	w.log.hold(false)
	done(taken)
}

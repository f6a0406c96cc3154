package sequencer_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
	"reprise/pkg/sequencer"
)

// local dials one log-server in the same process.
type local struct {
	s    *logserver.Server
	self id.GenerationalNode
}

func (l local) Dial(_ id.Node, r logproto.Receiver) logproto.Conn { return l.s.Connect(l.self, r) }

func (l local) Members(nodes []id.Node) []quorum.Member {
	out := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		out[i] = quorum.Member{Node: n, State: storedv1.StorageState_STORAGE_STATE_READ_WRITE}
	}
	return out
}

type counter struct {
	committed atomic.Uint64
	target    uint64
	tails     [64]lsn.Offset
	done      chan struct{}
	t         testing.TB
}

func (c *counter) Committed(l id.Loglet, tail lsn.Offset) {
	d := uint64(tail - c.tails[l.Log()])
	c.tails[l.Log()] = tail
	if c.committed.Add(d) == c.target {
		c.done <- struct{}{}
	}
}

func (c *counter) Failed(l id.Loglet, err error) { c.t.Errorf("loglet %s failed: %v", l, err) }

// BenchmarkAppendCommitted is one group of 8 records of 256 bytes in each of 24 loglets, appended,
// flushed and committed through an in-process log-server with a real disk.
func BenchmarkAppendCommitted(b *testing.B) {
	const loglets, perGroup, recordBytes = 24, 8, 256
	h := host.New(slog.New(slog.DiscardHandler))
	self := id.GenerationalNode{Node: 1, Generation: 1}
	store, err := logstore.Open(logstore.Default(), h, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	server := logserver.New(logserver.Default(), store, self, h)
	w := sequencer.NewWriter(sequencer.Default(), self, local{server, self}, h)
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(context.Background())
	g.Go("roles", func(context.Context) error { return lifecycle.Run(ctx, server, w) })
	<-server.Ready()
	c := &counter{done: make(chan struct{}, 1), t: b}
	var open [loglets]*sequencer.Loglet
	var next [loglets]lsn.Offset
	for i := range open {
		l := &storedv1.Loglet{
			Id: uint64(id.NewLoglet(id.Partition(i), 1)), SequencerNode: 1, SequencerGeneration: 1,
			Replication: "{node: 1}", Nodeset: []uint32{1}, Nonce: uint64(i),
		}
		c.tails[i] = lsn.FirstOffset
		if open[i], err = w.Open(l, c); err != nil {
			b.Fatal(err)
		}
		next[i] = lsn.FirstOffset
	}
	records := group(perGroup, recordBytes)
	b.ReportAllocs()
	b.SetBytes(int64(loglets * len(records)))
	for b.Loop() {
		c.target += loglets * perGroup
		for i, l := range open {
			l.Append(next[i], perGroup, records)
			next[i] += perGroup
		}
		w.Flush()
		<-c.done
	}
	for _, l := range open {
		l.Close()
	}
	cancel()
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}

package loglet_test

import (
	"context"
	"log/slog"
	"testing"

	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
	"reprise/pkg/sequencer"
)

// BenchmarkRead reads 50,000 records of a one-copy loglet, as a restarted worker does.
func BenchmarkRead(b *testing.B) {
	const groups, perGroup = 2500, 20
	c := logservertest.New(b, 1)
	l := c.Loglet(0, 0, me, "1")
	w := sequencer.NewWriter(sequencer.Default(), me, c.Peer(me), host.New(slog.New(slog.DiscardHandler)))
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(context.Background())
	g.Go("writer", func(context.Context) error { return w.Run(ctx) })
	n := newWatcher()
	lg, err := w.Open(l, n)
	if err != nil {
		b.Fatal(err)
	}
	next := lsn.FirstOffset
	for range groups {
		lg.Append(next, perGroup, records(id.Loglet(l.Id), lsn.LSN(next), perGroup))
		next += perGroup
	}
	w.Flush()
	if err := n.wait(b, next); err != nil {
		b.Fatal(err)
	}
	lg.Close()
	cancel()
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	cl, chain := client(c), chainOf(l)
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		err := cl.Read(context.Background(), chain, 1, lsn.LSN(next), func(_ lsn.LSN, n int, _ []byte) error {
			count += n
			return nil
		})
		if err != nil || count != groups*perGroup {
			b.Fatalf("%d records, %v", count, err)
		}
	}
}

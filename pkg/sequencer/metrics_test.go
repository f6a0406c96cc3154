package sequencer_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logproto"
	"reprise/pkg/sequencer"
)

// An append is one wave, unless a log-server is lost meanwhile; its time goes from the append to the commit.
func TestAppendsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host.New(slog.New(slog.DiscardHandler))
		net, heard := newWire(), &events{}
		w := sequencer.NewWriter(sequencer.Default(), self, net, h)
		ctx, cancel := context.WithCancel(context.Background())
		g := lifecycle.NewGroup(context.Background())
		g.Go("writer", func(context.Context) error { return w.Run(ctx) })
		a := open(t, w, heard, loglet(1, "1", 1))
		a.Append(1, 3, []byte("abc"))
		a.Append(4, 1, []byte("d"))
		w.Flush()
		pass(time.Millisecond)
		net.answer(1, logproto.Ok)
		heard.want(t, "1_0 committed 5")
		check := func(name string, count uint64, sum float64) {
			t.Helper()
			families, err := h.Metrics.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() != "restate_bifrost_sequencer_"+name {
					continue
				}
				got := f.GetMetric()[0].GetHistogram()
				if got.GetSampleCount() != count || got.GetSampleSum() < sum*0.999 || got.GetSampleSum() > sum*1.001 {
					t.Errorf("%s: %d values, together %v; want %d, %v", name, got.GetSampleCount(), got.GetSampleSum(), count, sum)
				}
				return
			}
			t.Errorf("no %s", name)
		}
		check("append_duration_seconds", 2, 0.002)
		check("append_waves", 2, 2)
		check("record_size_bytes", 4, 4)
		a.Append(5, 1, []byte("e"))
		w.Flush()
		net.breakOff(1)
		pass(100 * time.Millisecond) // it is connected again
		net.answer(1, logproto.Ok)
		heard.want(t, "1_0 committed 6")
		check("append_waves", 3, 4) // the last one was sent twice
		check("append_wave_duration_seconds", 3, 0.002+0.05)
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

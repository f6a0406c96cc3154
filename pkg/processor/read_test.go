package processor_test

import (
	"context"
	"errors"
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/lifecycle"
	"reprise/pkg/partitionstore"
	"reprise/pkg/processor"
)

// Who reads gets the rows as they are, with what runs; the store does not end before the reader has.
func TestRead(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("a")
	r := hang.request("x", "", command.WantCompleted)
	waiting := n.submit(r)
	eventually(t, "the attempt", func() bool { return w.endpoint.count("hang") == 1 })
	for _, what := range []processor.Reading{{Live: true}, {Live: true, LiveIDs: []id.Invocation{r.ID}}} {
		must(t, n.Read(t.Context(), what, func(_ context.Context, snap *partitionstore.Snapshot, live []invocation.Live) error {
			inv, err := snap.Invocation(r.ID)
			if err != nil || inv == nil {
				t.Errorf("row is %v: %v", inv, err)
			}
			if len(live) != 1 || live[0].ID != r.ID || !live[0].InFlight || live[0].Attempts != 1 || live[0].LastStart == 0 {
				t.Errorf("live is %+v", live)
			}
			return nil
		}))
	}
	must(t, n.Read(t.Context(), processor.Reading{Live: true, LiveIDs: []id.Invocation{{1}}}, func(_ context.Context, _ *partitionstore.Snapshot, live []invocation.Live) error {
		if len(live) != 0 {
			t.Errorf("live is %+v", live)
		}
		return nil
	}))
	if err := n.Read(t.Context(), processor.Reading{Partition: 7}, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("an unknown partition: %v", err)
	}
	cause := errors.New("as the caller wishes")
	ctx, cancel := context.WithCancelCause(t.Context())
	began := make(chan struct{})
	group := lifecycle.NewGroup(t.Context())
	group.Go("reader", func(context.Context) error {
		return n.Read(ctx, processor.Reading{}, func(ctx context.Context, _ *partitionstore.Snapshot, _ []invocation.Live) error {
			close(began)
			<-ctx.Done()
			return context.Cause(ctx)
		})
	})
	<-began
	cancel(cause)
	if err := group.Wait(); !errors.Is(err, cause) {
		t.Errorf("a reader that left: %v", err)
	}
	close(w.endpoint.free)
	n.answerOf(waiting)
	stopped := make(chan struct{})
	group = lifecycle.NewGroup(t.Context())
	reading := make(chan struct{})
	group.Go("reader", func(context.Context) error {
		return n.Read(context.Background(), processor.Reading{}, func(ctx context.Context, snap *partitionstore.Snapshot, _ []invocation.Live) error {
			close(reading)
			<-ctx.Done()
			_, err := snap.Invocation(r.ID) // the store is still there
			close(stopped)
			return err
		})
	})
	<-reading
	n.crash()
	<-stopped
	must(t, group.Wait())
	if err := n.Read(t.Context(), processor.Reading{}, nil); !errs.Is(err, errs.NotLeader) {
		t.Errorf("after the end: %v", err)
	}
}

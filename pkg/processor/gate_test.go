package processor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"reprise/pkg/lifecycle"
)

// worker.snapshots.export-concurrency-limit may change while a node runs: who is inside stays, and who waits is let in when there is room.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.set(0) // means 1
		entered := 0
		ctx, cancel := context.WithCancel(t.Context())
		group := lifecycle.NewGroup(ctx)
		enter := func() {
			group.Go("enter", func(ctx context.Context) error {
				if err := g.enter(ctx); err != nil {
					if !errors.Is(err, context.Canceled) {
						return err
					}
					return nil
				}
				entered++ // one at a time: synctest.Wait lies between
				return nil
			})
			synctest.Wait()
		}
		want := func(n int, why string) {
			t.Helper()
			synctest.Wait()
			if entered != n {
				t.Fatalf("%d entered, want %d: %s", entered, n, why)
			}
		}
		enter()
		enter()
		want(1, "there is room for one")
		g.set(2)
		want(2, "there is room for two")
		enter()
		g.set(1)
		g.leave()
		want(2, "one is inside, and no more may be")
		g.leave()
		want(3, "nobody was inside")
		enter()
		cancel()
		want(3, "it gave up")
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

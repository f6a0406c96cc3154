package membership_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/membership"
)

// A process with an empty folder and the name of a node that runs waits until that one could be dead, and is refused if it is
// not. The one that runs goes on.
func TestTwoNodesWithOneName(t *testing.T) {
	for _, row := range []struct {
		name    string
		dies    bool
		refused bool
	}{{"it lives", false, true}, {"it died", true, false}} {
		t.Run(row.name, func(t *testing.T) {
			e := newEnv()
			clock := hosttest.NewClock()
			e.h.Clock = clock
			first, err := join(t, e, config())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			g := lifecycle.NewGroup(ctx)
			held := make(chan struct{})
			g.Go("presence", func(ctx context.Context) error {
				_ = e.store.AnnouncePresence(ctx, first.ID, time.Second, func() { close(held) }) // the test lets it expire
				return nil
			})
			<-held
			other, err := membership.OpenFolder(e.h.FS, "/data/other", "c", "n1")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1) // one join
			var second membership.Member
			g.Go("join", func(ctx context.Context) (err error) {
				second, err = membership.Join(ctx, config(), e.store, other, e.h)
				ended <- err
				return nil
			})
			clock.Await(1) // it pauses
			if row.dies {
				e.kv.Expire("/reprise/v1/c/presence/00000001")
			}
			clock.Advance(10 * time.Second)
			err = <-ended
			cancel()
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			if refused := errs.Is(err, errs.Conflict) && strings.Contains(err.Error(), "give this process another node-name"); refused != row.refused {
				t.Errorf("%v, joined as %v", err, second.ID)
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

package processor_test

import (
	"context"
	"errors"
	"testing"

	"reprise/pkg/errs"
)

// All stores that are open are compacted, while calls go on.
func TestCompact(t *testing.T) {
	w := newWorld(t, 2, 1)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 10)
	if _, after, err := a.Compact(t.Context()); err != nil || after == 0 {
		t.Errorf("%d bytes, %v", after, err)
	}
	a.count(x, 11, 20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := a.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits for it: %v", err)
	}
	a.stop()
	if _, _, err := a.Compact(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("the node has ended: %v", err)
	}
}

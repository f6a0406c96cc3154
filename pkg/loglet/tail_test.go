package loglet_test

import (
	"context"
	"testing"

	"reprise/pkg/errs"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
)

// A follower learns of what is committed from whichever log-server lives, and of the seal.
func TestWaitForTail(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 2}")
	w, cl := start(t, c, l), client(c)
	at := lsn.FirstOffset
	follow := func(to lsn.Offset) {
		t.Helper()
		for at < to {
			tail, sealed, err := cl.WaitForTail(t.Context(), l, at)
			if err != nil || sealed || tail <= at || tail > to {
				t.Fatalf("behind %d: %d, sealed %t, %v", at, tail, sealed, err)
			}
			readAll(t, cl, chainOf(l), lsn.LSN(at), lsn.LSN(tail))
			at = tail
		}
	}
	for range 3 {
		w.append(5)
		follow(w.next)
	}
	c.Crash(2)
	w.append(5)
	follow(w.next)
	if _, err := cl.Seal(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	tail, sealed, err := cl.WaitForTail(t.Context(), l, at)
	if err != nil || !sealed || tail > at {
		t.Fatalf("after the seal: %d, sealed %t, %v", tail, sealed, err)
	}
	c.Crash(1)
	c.Crash(3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := cl.WaitForTail(ctx, l, at); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("with no log-server: %v", err)
	}
}

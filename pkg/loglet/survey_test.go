package loglet_test

import (
	"context"
	"testing"

	"reprise/pkg/errs"
	"reprise/pkg/logserver/logservertest"
)

// committed waits until all that was appended is committed.
func committed(t *testing.T, w *writing) {
	t.Helper()
	if err := w.n.wait(t, w.next); err != nil {
		t.Fatal(err)
	}
}

// A tail is found while too few to matter are away, and is exact; nothing is sealed by that.
func TestFindTail(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 2}")
	cl := client(c)
	if tail, sealed, err := cl.FindTail(t.Context(), l); err != nil || sealed || tail != 1 {
		t.Fatalf("of nothing: %d %t %v", tail, sealed, err)
	}
	w := start(t, c, l)
	for _, n := range []int{1, 30} {
		w.append(n)
		committed(t, w)
		if tail, sealed, err := cl.FindTail(t.Context(), l); err != nil || sealed || tail != w.next {
			t.Fatalf("behind %d more: %d %t %v, want %d", n, tail, sealed, err, w.next)
		}
	}
	c.Crash(3)
	w.append(5)
	committed(t, w)
	if tail, sealed, err := cl.FindTail(t.Context(), l); err != nil || sealed || tail != w.next {
		t.Fatalf("with two of three: %d %t %v, want %d", tail, sealed, err, w.next)
	}
	if _, err := cl.Seal(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if tail, sealed, err := cl.FindTail(t.Context(), l); err != nil || !sealed || tail != w.next {
		t.Fatalf("after the seal: %d %t %v, want %d", tail, sealed, err, w.next)
	}
	c.Crash(2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := cl.FindTail(ctx, l); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("with one of three: %v", err)
	}
}

func TestSurvey(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 3}")
	w, cl := start(t, c, l), client(c)
	w.append(10)
	committed(t, w)
	c.Crash(2)
	found, err := cl.Digest(t.Context(), l, 3, w.next)
	if err != nil || len(found) != 3 {
		t.Fatalf("%v %v", found, err)
	}
	for _, f := range found {
		switch {
		case f.Node == 2:
			if f.Err == nil {
				t.Errorf("a dead log-server answered %+v", f)
			}
		case f.Err != nil || f.Info.Sealed || f.Info.Tail != w.next || len(f.Exists) != 1 || f.Exists[0].From != 3 || f.Exists[0].To != w.next:
			t.Errorf("%s told %+v", f.Node, f)
		}
	}
}

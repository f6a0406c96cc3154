package loglet_test

import (
	"errors"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/loglet"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
)

// segments appends n records to each of some loglets, at two of three log-servers, and seals all but the last.
func segments(t *testing.T, c *logservertest.Cluster, loglets uint32, n int) *storedv1.Chain {
	t.Helper()
	chain := &storedv1.Chain{}
	base := lsn.First
	for i := range loglets {
		l := c.Loglet(0, i, me, "2")
		w := start(t, c, l)
		w.base = base
		w.append(n)
		if err := w.n.wait(t, lsn.Offset(n+1)); err != nil {
			t.Fatal(err)
		}
		chain.Segments = append(chain.Segments, &storedv1.Segment{Index: i, Base: uint64(base), Loglet: l})
		base += lsn.LSN(n)
		if i+1 < loglets {
			if _, err := client(c).Seal(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
	}
	return chain
}

// trimmedAt is up to where a log-server has trimmed a loglet.
func trimmedAt(t *testing.T, c *logservertest.Cluster, n id.Node, l *storedv1.Loglet) lsn.Offset {
	t.Helper()
	info, err := c.At(n).Info(t.Context(), logproto.RefOf(l))
	if err != nil {
		t.Fatal(err)
	}
	return info.Trimmed
}

// A trim deletes whole loglets and a part of one; what is left is read, and the rest is a gap that says so.
func TestTrim(t *testing.T) {
	c := logservertest.New(t, 3)
	chain := segments(t, c, 3, 7)
	cl := client(c)
	for n := range id.Node(3) {
		waitTail(t, c, n+1, chain.Segments[2].Loglet, 8) // the third copy comes a little later, or, of the others, not at all
	}
	first, err := cl.Trim(t.Context(), chain)
	if err != nil || first != 0 {
		t.Fatalf("nothing to trim: from segment %d on, %v", first, err)
	}
	chain.Trimmed = 10
	c.Cut(3, true)
	if first, err := cl.Trim(t.Context(), chain); err == nil || first != 0 {
		t.Fatalf("with a log-server that is away: from segment %d on, %v", first, err)
	}
	c.Cut(3, false)
	for range 2 { // a repeat is harmless
		if first, err = cl.Trim(t.Context(), chain); err != nil || first != 1 {
			t.Fatalf("from segment %d on, %v", first, err)
		}
	}
	copies := [2]int{}
	for n := id.Node(1); n <= 3; n++ {
		for i, want := range []lsn.Offset{7, 3} {
			switch trimmedAt(t, c, n, chain.Segments[i].Loglet) {
			case want:
				copies[i]++
			case 0: // it has none
			default:
				t.Errorf("at %s loglet %d is trimmed through another offset than %d", n, i, want)
			}
		}
	}
	if copies[0] < 2 || copies[1] < 2 {
		t.Errorf("trimmed at %v log-servers", copies)
	}
	readAll(t, cl, chain, 11, 22)
	for _, drop := range []int{0, 1} {
		chain.Segments = chain.Segments[drop:]
		var gap *loglet.TrimmedError
		err = cl.Read(t.Context(), chain, 5, 22, func(lsn.LSN, int, []byte) error { return nil })
		if !errors.As(err, &gap) || gap.Through != 10 {
			t.Errorf("without %d segments: %v", drop, err)
		}
	}
	chain.Trimmed = 21 // all there is: the last segment stays
	if first, err := cl.Trim(t.Context(), chain); err != nil || first != 2 {
		t.Errorf("all: from segment %d on, %v", first, err)
	}
}

// Nobody waits for a log-server that is lost for good.
func TestTrimWithoutALostServer(t *testing.T) {
	c := logservertest.New(t, 3)
	chain := segments(t, c, 2, 7)
	chain.Trimmed = 7
	c.Cut(3, true)
	c.SetState(3, storedv1.StorageState_STORAGE_STATE_GONE)
	if first, err := client(c).Trim(t.Context(), chain); err != nil || first != 1 {
		t.Errorf("from segment %d on, %v", first, err)
	}
}

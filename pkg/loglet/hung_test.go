package loglet_test

import (
	"log/slog"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/loglet"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
	"reprise/pkg/sequencer"
)

// patient is a client that would wait for a log-server for longer than any test lasts.
func patient(c *logservertest.Cluster) *loglet.Client {
	cfg := loglet.Default()
	cfg.AskTimeout, cfg.ShunFor = time.Hour, time.Hour
	return loglet.NewClient(cfg, c.Peer(id.GenerationalNode{Node: 2, Generation: 1}), host.New(slog.New(slog.DiscardHandler)))
}

// Whichever log-server hangs, the others commit, are followed, read and sealed; and take what is appended next.
func TestOneHangs(t *testing.T) {
	for n := id.Node(1); n <= 3; n++ {
		c := logservertest.New(t, 3)
		l := c.Loglet(0, 0, me, "{node: 2}")
		w, cl := startPatient(t, c, l), patient(c)
		w.append(5)
		if err := w.n.wait(t, w.next); err != nil {
			t.Fatal(err)
		}
		c.Hang(n, true)
		for range 10 {
			from := w.next
			w.append(3)
			if err := w.n.wait(t, w.next); err != nil {
				t.Fatalf("with %s hanging: %v", n, err)
			}
			tail, sealed, err := cl.WaitForTail(t.Context(), l, from)
			if err != nil || sealed || tail != w.next {
				t.Fatalf("with %s hanging: tail %d of %d, sealed %t, %v", n, tail, w.next, sealed, err)
			}
			readAll(t, cl, chainOf(l), lsn.LSN(from), lsn.LSN(tail))
		}
		if err := patient(c).Unsealed(t.Context(), l); err != nil {
			t.Errorf("with %s hanging: %v", n, err)
		}
		tail, err := patient(c).Seal(t.Context(), l)
		if err != nil || tail != w.next {
			t.Fatalf("with %s hanging: sealed at %d of %d, %v", n, tail, w.next, err)
		}
		readAll(t, patient(c), chainOf(l), 1, lsn.LSN(tail))
		c.Hang(n, false)
	}
}

// startPatient is start with a log writer that never gives a connection up.
func startPatient(t *testing.T, c *logservertest.Cluster, l *storedv1.Loglet) *writing {
	t.Helper()
	cfg := sequencer.Default()
	cfg.StoreTimeout, cfg.StoreTimeoutMax = time.Hour, time.Hour
	return startWith(t, cfg, c, l)
}

// One that hung while the others committed catches up when it goes on, so that one of the others may die then.
func TestStragglerCatchesUp(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 2}")
	w := startPatient(t, c, l)
	c.Hang(3, true)
	for range 10 {
		w.append(2)
		if err := w.n.wait(t, w.next); err != nil {
			t.Fatal(err)
		}
	}
	c.Hang(3, false)
	c.Cut(1, true)
	w.append(2)
	if err := w.n.wait(t, w.next); err != nil {
		t.Fatal(err)
	}
	tail, err := patient(c).Seal(t.Context(), l)
	if err != nil || tail != w.next {
		t.Fatalf("sealed at %d of %d, %v", tail, w.next, err)
	}
	readAll(t, patient(c), chainOf(l), 1, lsn.LSN(tail))
}

// A log-server that hangs while a tail must be repaired is not waited for, neither as a source nor as a target.
func TestHungInRepair(t *testing.T) {
	c := logservertest.New(t, 4)
	l := c.Loglet(0, 0, me, "{node: 2}")
	w := startPatient(t, c, l)
	w.append(4)
	if err := w.n.wait(t, 5); err != nil {
		t.Fatal(err)
	}
	for n := id.Node(2); n <= 4; n++ {
		c.Cut(n, true)
	}
	w.append(6) // only the first gets it
	waitTail(t, c, 1, l, 11)
	for n := id.Node(2); n <= 4; n++ {
		c.Cut(n, false)
	}
	w.l.Close()
	c.Hang(4, true)
	tail, err := patient(c).Seal(t.Context(), l)
	if err != nil || tail != 11 {
		t.Fatalf("tail %d, %v", tail, err)
	}
	c.Crash(1)
	readAll(t, patient(c), chainOf(l), 1, 11)
}

// A log-server that did not answer is asked last for a while, so it costs one pause and not one for each question.
func TestSilentIsShunned(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(0, 0, me, "{node: 2}") // asked in the order N1, N2, N3
	w, cl := startPatient(t, c, l), patient(c)
	w.append(50)
	if err := w.n.wait(t, w.next); err != nil {
		t.Fatal(err)
	}
	c.Hang(1, true)
	begin := time.Now()
	for range 100 {
		readAll(t, cl, chainOf(l), 1, lsn.LSN(w.next))
	}
	if took := time.Since(begin); took > 100*loglet.Default().HedgeAfter {
		t.Errorf("100 reads past a log-server that hangs took %s", took)
	}
	c.Hang(1, false)
}

package processor_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// refuse has the log of p take nothing, or go on.
func (f *fakeLog) refuse(p id.Partition, refuse bool) {
	if refuse {
		f.hold(true)
	}
	f.mu.Lock()
	l := f.newestLocked(p)
	f.mu.Unlock()
	l.notify.(interface{ Refusing(id.Loglet, bool) }).Refusing(l.id, refuse)
	if !refuse {
		f.hold(false)
	}
}

// While log-servers have no space, nothing new is taken, reads go on, and what waits is done afterwards.
func TestRefused(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("n1")
	n.want(echo, "before", "a", "a")
	done := echo.request("before", "a", command.WantNow)
	waits := echo.request("waits", "b", command.WantCompleted)

	w.log.hold(true)
	waiting := n.submit(waits)
	early := n.submit(read(done.ID, command.WantNow)) // proposed before the refusal is known
	eventually(t, "both are proposed", func() bool { return w.log.waiting(0) == 2 })
	w.log.refuse(0, true)
	if a := n.answerOf(early); a.err != nil || a.outcome.Status != command.OutcomeCompleted {
		t.Errorf("a read that was proposed before: %+v, %v", a.outcome, a.err)
	}
	o, err := n.Do(t.Context(), read(done.ID, command.WantNow))
	if err != nil || o.Status != command.OutcomeCompleted || string(o.Result.GetValue()) != "a" {
		t.Errorf("read of a completed invocation: %+v, %v", o, err)
	}
	if o, err := n.Do(t.Context(), read(waits.ID, command.WantNow)); err != nil || o.Status != command.OutcomeNotFound {
		t.Errorf("read of what is not committed: %+v, %v", o, err)
	}
	if _, err := n.Do(t.Context(), echo.request("new", "c", command.WantAccepted)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a new request: %v", err)
	}
	w.log.refuse(0, false)
	if a := n.answerOf(waiting); a.err != nil || string(a.outcome.Result.GetValue()) != "b" {
		t.Errorf("what waited: %+v, %v", a.outcome, a.err)
	}
	n.want(echo, "new", "c", "c")
}

// A leader that was replaced meanwhile has no proof, and does not answer from old rows.
func TestRefusedWithoutProof(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("n1")
	n.want(echo, "before", "a", "a")
	w.log.refuse(0, true)
	w.log.mu.Lock()
	w.log.newestLocked(0).sealed = true
	w.log.mu.Unlock()
	i := echo.request("before", "a", command.WantNow).ID
	if o, err := n.Do(t.Context(), read(i, command.WantNow)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a read without proof: %+v, %v", o, err)
	}
	w.log.refuse(0, false)
}

// Reads are told to retry if the log does not say in time who leads, and go on when it does.
func TestRefusedWithoutAnswer(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("n1")
	n.want(echo, "before", "a", "a")
	i := echo.request("before", "a", command.WantNow).ID
	asked, ask := make(chan struct{}), make(chan struct{})
	w.log.refuse(0, true)
	w.log.mu.Lock()
	w.log.asked, w.log.ask = asked, ask
	w.log.mu.Unlock()
	waiting := []<-chan answer{n.submit(read(i, command.WantNow))}
	<-asked
	waiting = append(waiting, n.submit(read(i, command.WantNow))) // for the next question
	w.clock.skip(w.cfg.ProofTimeout)
	for _, c := range waiting {
		if a := n.answerOf(c); !errs.Is(a.err, errs.Unavailable) {
			t.Errorf("a read that waited: %+v, %v", a.outcome, a.err)
		}
	}
	if _, err := n.Do(t.Context(), read(i, command.WantNow)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a read that came after: %v", err)
	}
	w.log.mu.Lock()
	w.log.asked = nil
	w.log.mu.Unlock()
	close(ask)
	eventually(t, "a read is answered", func() bool {
		o, err := n.Do(t.Context(), read(i, command.WantNow))
		return err == nil && o.Status == command.OutcomeCompleted
	})
	w.log.refuse(0, false)
}

// A node whose own disk is nearly full takes nothing new, and goes on when there is space.
func TestDiskNearlyFull(t *testing.T) {
	w := newWorld(t, 1, 1)
	n := w.start("n1")
	n.want(echo, "before", "a", "a")
	refused := func() bool {
		_, err := n.Do(t.Context(), echo.request("new", "b", command.WantAccepted))
		return errs.Is(err, errs.Unavailable)
	}
	w.fs.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 8 << 20, AvailBytes: 3<<18 - 1})
	eventually(t, "new requests are refused", refused)
	if o, err := n.Do(t.Context(), read(echo.request("before", "a", 0).ID, command.WantNow)); err != nil || o.Status != command.OutcomeCompleted {
		t.Errorf("a read: %+v, %v", o, err)
	}
	w.fs.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 8 << 20, AvailBytes: 1 << 20})
	n.want(echo, "new", "b", "b")
}

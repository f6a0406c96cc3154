package logserver

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/errs"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// While the committer waits for the disk, frames wait for it up to a number of bytes; one is always taken.
func TestBytesThatWaitAreBounded(t *testing.T) {
	g := &gate{}
	cfg := Default()
	cfg.QueueBytesMax = 1
	s := runWith(t, g.fs(vfs.NewMem()), cfg)
	c, r := connect(s)
	g.close()
	send := func(first lsn.Offset) { c.Send(&logproto.Frame{Groups: []logproto.Group{group(first, 1)}}) }
	send(1)
	<-g.held
	send(2) // the queue was empty
	send(3)
	if err := <-r.broken; !errs.Is(err, errs.Unavailable) {
		t.Errorf("the third frame: %v", err)
	}
	g.open()
	if info, err := s.WaitForTail(t.Context(), logproto.TailWait{Ref: ref, Tail: 3}); err != nil || info.Tail != 3 {
		t.Fatalf("%+v, %v", info, err)
	}
	again, answers := connect(s) // as the writer does after that
	if a := store(again, answers, group(3, 1))[0]; a.Status != logproto.Ok || a.Tail != 4 {
		t.Errorf("%+v", a)
	}
}

// A round is cut into commits of a number of records, to within a frame.
func TestRecordsOfACommitAreBounded(t *testing.T) {
	for _, row := range []struct {
		limit uint32
		syncs int
	}{{0, 2}, {4, 3}} { // the first frame, and then what waited for it: four frames of two records
		g := &gate{}
		cfg := Default()
		cfg.BatchRecordsMax = row.limit
		s := runWith(t, g.fs(vfs.NewMem()), cfg)
		c, r := connect(s)
		store(c, r, group(1, 1))
		before := g.count()
		g.close()
		c.Send(&logproto.Frame{Groups: []logproto.Group{group(2, 2)}})
		<-g.held
		for first := lsn.Offset(4); first < 12; first += 2 {
			c.Send(&logproto.Frame{Groups: []logproto.Group{group(first, 2)}})
		}
		g.open()
		for range 5 {
			if a := (<-r.frames).Answers[0]; a.Status != logproto.Ok {
				t.Errorf("limit %d: %s", row.limit, a.Status)
			}
		}
		if got := g.count() - before; got != row.syncs {
			t.Errorf("limit %d: %d syncs, want %d", row.limit, got, row.syncs)
		}
	}
}

func TestUnsyncedAnswersWithoutTheDisk(t *testing.T) {
	g := &gate{}
	cfg := Default()
	cfg.Unsynced = true
	s := runWith(t, g.fs(vfs.NewMem()), cfg)
	c, r := connect(s)
	before := g.count()
	if a := store(c, r, group(1, 2))[0]; a.Status != logproto.Ok || a.Tail != 3 {
		t.Errorf("%+v", a)
	}
	if got := g.count() - before; got != 0 {
		t.Errorf("%d syncs", got)
	}
}

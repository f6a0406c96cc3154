package snapshot_test

import (
	"fmt"
	"testing"

	"reprise/pkg/lsn"
)

// worker.snapshots.num-retained may change while a worker runs: it holds from the next snapshot on.
func TestRetentionIsLive(t *testing.T) {
	inEach(t, func(t *testing.T, w *world) {
		r := w.repository(nil, retained(1))
		for i, want := range []int{1, 1, 2, 3, 1, 1} {
			switch i {
			case 2:
				r.SetRetained(3)
			case 4:
				r.SetRetained(0) // one is kept always
			}
			l := w.create(r, lsn.LSN(100*(i+1)), with(base, "MANIFEST-000001", fmt.Sprint("m", i)))
			if len(l.Retained) != want {
				t.Errorf("snapshot %d: %d are kept, want %d", i, len(l.Retained), want)
			}
		}
	})
}

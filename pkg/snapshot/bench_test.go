package snapshot_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/snapshot"
	"reprise/pkg/snapshot/bucket"
)

const (
	benchFiles     = 128
	benchFileBytes = 8 << 20
)

// BenchmarkRestore brings 1 GiB from a folder to a disk, with all checksums and syncs; BenchmarkCreate brings it there.
func BenchmarkRestore(b *testing.B) {
	r, src := benched(b)
	l, _, err := r.Create(b.Context(), part, src)
	must(b, err)
	b.SetBytes(benchFiles * benchFileBytes)
	b.ReportAllocs()
	for b.Loop() {
		must(b, r.Restore(b.Context(), part, l.Ref, b.TempDir()))
	}
}

// BenchmarkCreate uploads a store of which nothing is known.
func BenchmarkCreate(b *testing.B) {
	r, src := benched(b)
	b.SetBytes(benchFiles * benchFileBytes)
	b.ReportAllocs()
	for b.Loop() {
		src.Applied++
		src.Incarnation++ // all files are others
		_, created, err := r.Create(b.Context(), part, src)
		if must(b, err); !created {
			b.Fatal("nothing was made")
		}
	}
}

// benched is a repository in a folder, and a store of 1 GiB, on the disk of this machine.
func benched(b *testing.B) (*snapshot.Repository, snapshot.Source) {
	b.Helper()
	objects, err := bucket.File(b.TempDir())
	must(b, err)
	b.Cleanup(func() { must(b, objects.Close()) })
	h := hosttest.Real(1)
	h.FS = vfs.Default
	cfg := snapshot.Default()
	cfg.ClusterName, cfg.Fingerprint, cfg.NodeName = "bench", 1, "n1"
	r, err := snapshot.New(cfg, objects, objects, h)
	must(b, err)
	dir, random := b.TempDir(), rand.NewChaCha8([32]byte{})
	for i := range benchFiles {
		f, err := h.FS.Create(h.FS.PathJoin(dir, fmt.Sprintf("%06d.sst", i)), vfs.WriteCategoryUnspecified)
		must(b, err)
		_, err = io.CopyN(f, random, benchFileBytes)
		must(b, err)
		must(b, f.Close())
	}
	return r, snapshot.Source{Dir: dir, Incarnation: 1, Applied: 1, Keys: snapshot.KeyRange{End: 1<<64 - 1}}
}

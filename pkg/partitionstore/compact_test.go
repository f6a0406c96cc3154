package partitionstore_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"reprise/pkg/command"
	"reprise/pkg/partition"
	"reprise/pkg/partition/partitiontest"
)

// A compaction changes nothing that is stored, nor what comes after it.
func TestCompact(t *testing.T) {
	shared := newShared(t)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		fs := vfs.NewMem()
		s := open(t, smallConfig(), fs, shared)
		memory := partitiontest.New()
		random := partitiontest.NewRandom(memory, draw)
		for range 1 + draw(3) {
			for range draw(40) {
				raw := random.Next()
				rec, err := command.Parse(raw)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := partition.Apply(memory, rec, nil); err != nil {
					t.Fatal(err)
				}
				apply(t, s, raw)
			}
			commit(t, s)
			want, err := s.Dump()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Dump(); err != nil || got != want {
				t.Fatalf("compacted: %v\n%s\nwas\n%s", err, got, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

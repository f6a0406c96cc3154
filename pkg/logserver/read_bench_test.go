package logserver

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

// BenchmarkReadAtTheTail is what a follower asks for: 50 records that were stored a moment ago.
func BenchmarkReadAtTheTail(b *testing.B) {
	s := run(b, vfs.NewMem())
	c, r := connect(s)
	const each, groups = 50, 400
	for i := range lsn.Offset(groups) {
		store(c, r, group(1+i*each, each))
	}
	ask := logproto.RecordsRequest{Ref: ref, From: 1 + (groups-1)*each, To: 1 + groups*each, BytesMax: 1 << 20}
	b.ReportAllocs()
	for b.Loop() {
		a, err := s.Records(b.Context(), ask)
		if err != nil || len(a.Groups) != 1 || a.Groups[0].Count != each {
			b.Fatalf("%v, %v", a, err)
		}
	}
}

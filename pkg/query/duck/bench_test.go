//go:build duckdb_arrow && cgo

package duck

import (
	"context"
	"testing"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/plan"
)

// BenchmarkLookup is a statement that asks for one invocation, of which there are no rows: what the query process does
// beside scanning.
func BenchmarkLookup(b *testing.B) {
	const sql = "SELECT * FROM sys_invocation WHERE id = 'inv_1hW1AC1zCHZN3VrUt82V5AgO8ljHp9p28x'"
	ctx := context.Background()
	e := openTest(b)
	planned := func(b *testing.B) (*statement, *plan.Plan, string) {
		s := testStatement(e, sql)
		asked, err := classify(sql)
		if err != nil {
			b.Fatal(err)
		}
		p, out, err := s.plan(ctx, asked)
		if err != nil {
			b.Fatal(err)
		}
		return s, p, out
	}
	prepare := func(b *testing.B, s *statement, p *plan.Plan) (release func()) {
		var err error
		if s.conn, err = s.connect(ctx); err != nil {
			b.Fatal(err)
		}
		free, err := s.views(ctx, p)
		if err != nil {
			b.Fatal(err)
		}
		for _, x := range s.streams {
			x.frames <- pipe.Frame{Kind: pipe.ScanEnd, Payload: []byte("{}")}
		}
		return func() {
			free()
			_ = s.conn.Close()
		}
	}
	b.Run("plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			planned(b)
		}
	})
	b.Run("views", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			s, p, _ := planned(b)
			b.StartTimer()
			prepare(b, s, p)()
		}
	})
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s, p, out := planned(b)
			release := prepare(b, s, p)
			if err := s.query(ctx, out); err != nil {
				b.Fatal(err)
			}
			release()
		}
	})
}

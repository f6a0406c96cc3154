package postgres

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, row := range []struct {
		sql  string
		want []string
	}{
		{"", nil}, {" ; ;\n", nil}, {"-- nothing\n", nil}, {"/* ; */ ;", nil},
		{"SELECT 1", []string{"SELECT 1"}},
		{"SELECT ';' ; select \"a;b\" -- c;d\n; SELECT $$;$$", []string{"SELECT ';'", "select \"a;b\" -- c;d", "SELECT $$;$$"}},
		{`SELECT E'\';' ; SELECT 'it''s;'`, []string{`SELECT E'\';'`, `SELECT 'it''s;'`}},
		{"SELECT 'open ; ", []string{"SELECT 'open ;"}},
	} {
		if got := split(row.sql); !slices.Equal(got, row.want) {
			t.Errorf("%q: %q, want %q", row.sql, got, row.want)
		}
	}
}

func TestRewrite(t *testing.T) {
	for _, row := range []struct{ sql, want string }{
		{"WHERE c.relname OPERATOR(pg_catalog.~) '^(a)$' COLLATE pg_catalog.default", "WHERE c.relname  ~  '^(a)$' "},
		{"x::pg_catalog.regtype::pg_catalog.text, y::oid", "x::VARCHAR::VARCHAR, y::BIGINT"},
		{"'x::oid OPERATOR(pg_catalog.~)'", "'x::oid OPERATOR(pg_catalog.~)'"},
		{"select current_database(), version()", "select 'restate', reprise_version()"},
		{"FROM pg_catalog.generate_series(0, upper(a(b), 1)) s, x", "FROM pg_catalog.generate_series(0, upper(a(b), 1)) AS s(s), x"},
		{"FROM generate_series(0, 1) WHERE true", "FROM generate_series(0, 1) WHERE true"},
		{"FROM generate_series(0, 1) AS t(i)", "FROM generate_series(0, 1) AS t(i)"},
		{"names::text[]", "names::VARCHAR[]"},
	} {
		if got := rewrite(row.sql); got != row.want {
			t.Errorf("%q: %q, want %q", row.sql, got, row.want)
		}
	}
}

func TestBind(t *testing.T) {
	for _, row := range []struct{ sql, want string }{
		{"SELECT $1, '$1', \"$2\", $2 -- $3", "SELECT 'a', '$1', \"$2\", 7 -- $3"},
		{"SELECT $$ $1 $$", "SELECT $$ $1 $$"},
		{"SELECT $11", "there is no parameter $11"},
	} {
		got, err := bind(row.sql, []string{"'a'", "7"})
		if err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%q: %q, want %q", row.sql, got, row.want)
		}
	}
	if got := quote("it's"); got != "'it''s'" {
		t.Error(got)
	}
}

func TestWords(t *testing.T) {
	for _, row := range []struct{ sql, first, second string }{
		{"show TimeZone", "SHOW", "timezone"}, {" -- x\n/* y */ SET SESSION a.b = 1", "SET", "a.b"}, {"SHOW TRANSACTION ISOLATION LEVEL", "SHOW", "transaction isolation level"},
		{"SHOW TIME ZONE", "SHOW", "time zone"}, {"begin", "BEGIN", ""}, {"(select 1)", "", ""},
	} {
		if first, second := words(row.sql); first != row.first || second != row.second {
			t.Errorf("%q: %q %q", row.sql, first, second)
		}
	}
}

// Whatever is sent, no byte is lost, and what is in quotes is not changed.
func FuzzLex(f *testing.F) {
	f.Add("SELECT 'a''b' -- c\n;$x$ y $x$ E'\\''")
	f.Fuzz(func(t *testing.T, sql string) {
		var b strings.Builder
		for _, l := range lex(sql) {
			if l.text == "" {
				t.Fatal("an empty lexeme")
			}
			b.WriteString(l.text)
		}
		if b.String() != sql {
			t.Errorf("%q became %q", sql, b.String())
		}
		split(sql)
		rewrite(sql)
		if _, err := bind(sql, nil); err != nil && !strings.Contains(sql, "$") {
			t.Error(err)
		}
	})
}

package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// lexeme is a piece of a statement: either code, or what nothing in is looked at.
type lexeme struct {
	text   string
	opaque bool // a string, a quoted name, a comment
}

// lex cuts a text. What is not closed lasts to the end: the engine will say so.
func lex(sql string) (out []lexeme) {
	begin := 0
	for i := 0; i < len(sql); {
		n := opaqueLen(sql[i:], i > 0 && (sql[i-1] == 'e' || sql[i-1] == 'E'))
		if n == 0 {
			i++
			continue
		}
		if i > begin {
			out = append(out, lexeme{text: sql[begin:i]})
		}
		out = append(out, lexeme{text: sql[i : i+n], opaque: true})
		i += n
		begin = i
	}
	if begin < len(sql) {
		out = append(out, lexeme{text: sql[begin:]})
	}
	return out
}

var dollarTag = regexp.MustCompile(`^\$(?:[A-Za-z_]\w*)?\$`)

// opaqueLen is the length of what begins at s and is not code; 0 if that is code.
func opaqueLen(s string, escapes bool) int {
	until := func(from int, end string) int {
		if i := strings.Index(s[from:], end); i >= 0 {
			return from + i + len(end)
		}
		return len(s)
	}
	switch {
	case s[0] == '\'' || s[0] == '"':
		return quotedLen(s, s[0] == '\'' && escapes)
	case strings.HasPrefix(s, "--"):
		return until(2, "\n")
	case strings.HasPrefix(s, "/*"):
		return until(2, "*/")
	case s[0] == '$':
		if tag := dollarTag.FindString(s); tag != "" {
			return until(len(tag), tag)
		}
	}
	return 0
}

// quotedLen is the length of a text in quotes; a doubled quote is one in the text.
func quotedLen(s string, escapes bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] != s[0]:
		case i+1 < len(s) && s[i+1] == s[0]:
			i++
		default:
			return i + 1
		}
	}
	return len(s)
}

// split cuts a text into its statements. Those without anything in them are left out.
func split(sql string) (out []string) {
	var b strings.Builder
	some := false
	end := func() {
		if some {
			out = append(out, strings.TrimSpace(b.String()))
		}
		b.Reset()
		some = false
	}
	for _, l := range lex(sql) {
		if l.opaque {
			b.WriteString(l.text)
			some = some || !strings.HasPrefix(l.text, "--") && !strings.HasPrefix(l.text, "/*")
			continue
		}
		for i, part := range strings.Split(l.text, ";") {
			if i > 0 {
				end()
			}
			b.WriteString(part)
			some = some || strings.TrimSpace(part) != ""
		}
	}
	end()
	return out
}

// Postgres' own words that the engine does not know, and what stands for them.
var rewrites = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`(?i)\bOPERATOR\s*\(\s*pg_catalog\s*\.\s*([^\s)]+)\s*\)`), " $1 "},
	{regexp.MustCompile(`(?i)=\s*ANY\s*\(\s*([a-z_][\w.]*)\s*\)`), "IN $1"}, // of a list, not of a query
	{regexp.MustCompile(`(?i)\bCOLLATE\s+(?:pg_catalog\s*\.\s*)?(?:default|"default"|"C")`), ""},
	{regexp.MustCompile(`(?i)::\s*(?:pg_catalog\s*\.\s*)?(?:regclass|regtype|regproc|regnamespace|regrole|name|text|bpchar)\b(\s*\[\])?`), "::VARCHAR$1"},
	{regexp.MustCompile(`(?i)::\s*(?:pg_catalog\s*\.\s*)?(?:oid|int2|int4|int8)\b(\s*\[\])?`), "::BIGINT$1"},
	{regexp.MustCompile(`(?i)\b(?:current_catalog|current_database\s*\(\s*\))`), "'restate'"},
	{regexp.MustCompile(`(?i)\bcurrent_schema\s*\(\s*\)`), "'public'"},
	{regexp.MustCompile(`(?i)\b(?:pg_catalog\s*\.\s*)?version\s*\(\s*\)`), "reprise_version()"},
}

// searchPath is how Grafana asks which schemas need not be named, in the middle of its own statements.
var searchPath = regexp.MustCompile(`(?is)\(\s*SELECT\s+CASE\s+WHEN\s+trim\(s\[i\]\)\s*=\s*'"\$user"'\s+THEN\s+user\s+ELSE\s+trim\(s\[i\]\)\s+END\s+` +
	`FROM\s+generate_series\(.*?\)\s+(?:AS\s+)?i\s*,\s*string_to_array\(current_setting\('search_path'\)\s*,\s*','\)\s+(?:AS\s+)?s\s*\)`)

// series is a call of generate_series with the name that its table has, which is that of its column, too.
var series = regexp.MustCompile(`(?i)(\bgenerate_series\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))\s+(?:AS\s+)?([a-z_]\w*)(\s*\(?)`)

// afterTable are words that may stand behind a table and are no name of it.
var afterTable = map[string]bool{
	"where": true, "group": true, "order": true, "having": true, "limit": true, "offset": true, "union": true, "intersect": true, "except": true,
	"join": true, "inner": true, "left": true, "right": true, "full": true, "cross": true, "natural": true, "on": true, "using": true,
}

// nameSeries names the column of generate_series.
func nameSeries(code string) string {
	return series.ReplaceAllStringFunc(code, func(call string) string {
		m := series.FindStringSubmatch(call)
		if afterTable[strings.ToLower(m[2])] || strings.HasSuffix(m[3], "(") {
			return call
		}
		return m[1] + " AS " + m[2] + "(" + m[2] + ")" + m[3]
	})
}

// rewrite puts a statement into the engine's words.
func rewrite(sql string) string {
	sql = searchPath.ReplaceAllString(sql, "('public')")
	var b strings.Builder
	for _, l := range lex(sql) {
		if !l.opaque {
			for _, r := range rewrites {
				l.text = r.from.ReplaceAllString(l.text, r.to)
			}
			l.text = nameSeries(l.text)
		}
		b.WriteString(l.text)
	}
	return b.String()
}

var parameter = regexp.MustCompile(`\$\d+`)

// bind puts constants where the parameters are.
func bind(sql string, constants []string) (string, error) {
	var b strings.Builder
	var missing error
	for _, l := range lex(sql) {
		if l.opaque {
			b.WriteString(l.text)
			continue
		}
		b.WriteString(parameter.ReplaceAllStringFunc(l.text, func(p string) string {
			n, err := strconv.Atoi(p[1:])
			if err != nil || n < 1 || n > len(constants) {
				missing = fmt.Errorf("there is no parameter %s", p)
				return p
			}
			return constants[n-1]
		}))
	}
	return b.String(), missing
}

// quote makes a constant of a text.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

var firstWords = regexp.MustCompile(`(?s)^(?:\s|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+)(?:\s+(?:SESSION\s+|LOCAL\s+)?([\w.]+(?:\s+(?i:zone|isolation\s+level))?))?`)

// words are the first word of a statement, upper case, and what follows it, lower case.
func words(sql string) (first, second string) {
	m := firstWords.FindStringSubmatch(sql)
	if m == nil {
		return "", ""
	}
	return strings.ToUpper(m[1]), strings.ToLower(strings.Join(strings.Fields(m[2]), " "))
}

//go:build duckdb_arrow && cgo

package duck

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/plan"
	"reprise/pkg/query/scan"
)

// prefix is what all messages begin with.
const prefix = "Datafusion error: "

// errNothing is how a statement ends that is answered with no rows.
var errNothing = errors.New("nothing to answer")

// What json_serialize_sql does not take is looked at as text, before the first word of a query or after it was refused.
var (
	explaining = regexp.MustCompile(`(?is)^\s*explain\s+(analyze\s+)?(verbose\s+)?(format\s+\w+\s+)?(.*)$`)
	preparing  = regexp.MustCompile(`(?is)^\s*prepare\s+\w+\s*(?:\([\w\s,]*\))?\s+as\s+(.*)$`)
	executing  = regexp.MustCompile(`(?is)^\s*(?:execute|deallocate(?:\s+prepare)?)\s+"?(\w+)"?.*$`)
	showing    = regexp.MustCompile(`(?is)^\s*show\s+("?[\w.]+"?(?:\s+zone)?)\s*;?\s*$`)
	columnsOf  = regexp.MustCompile(`(?is)^\s*show\s+columns\s+(?:from|in)\s+([\w."]+)\s*;?\s*$`)
	unsigned   = regexp.MustCompile(`(?i)\b(tinyint|smallint|int|integer|bigint)\s+unsigned\b`)
	firstWord  = regexp.MustCompile(`(?s)^(?:\s|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+)`)
)

// asked is a statement as it came.
type asked struct {
	sql     string // what is to be parsed
	explain string // what stands before it; "" if rows are wanted
	prepare bool   // it is to be checked, and no more
}

func classify(sql string) (asked, error) {
	if m := preparing.FindStringSubmatch(sql); m != nil {
		return asked{sql: m[1], prepare: true}, nil
	}
	if m := executing.FindStringSubmatch(sql); m != nil { // names are kept within a request, which has one statement
		return asked{}, pipe.Failuref(http.StatusInternalServerError, prefix+"Execution error: Prepared statement '%s' does not exist", m[1])
	}
	m := explaining.FindStringSubmatch(sql)
	switch {
	case m == nil:
		return asked{sql: sql}, nil
	case m[1] != "" && m[3] != "":
		return asked{}, pipe.Failuref(http.StatusBadRequest, prefix+"Error during planning: EXPLAIN ANALYZE with FORMAT is not supported")
	case m[1] != "":
		return asked{sql: m[4], explain: "EXPLAIN ANALYZE "}, nil
	default:
		return asked{sql: m[4], explain: "EXPLAIN "}, nil
	}
}

// again is the statement in the engine's dialect, if it may be that which it was refused for.
func (a asked) again() (string, bool) {
	if !unsigned.MatchString(a.sql) {
		return "", false
	}
	// In a text constant this would change the constant: such a statement is parsed as it is, and never comes here.
	return unsigned.ReplaceAllStringFunc(a.sql, func(t string) string {
		name := strings.ToUpper(strings.Fields(t)[0])
		if name == "INT" {
			name = "INTEGER"
		}
		return "U" + name
	}), true
}

// words are the statements that are refused by what they begin with.
var words = map[string]string{
	"CREATE": "DDL", "DROP": "DDL", "ALTER": "DDL", "TRUNCATE": "DDL", "ATTACH": "DDL", "DETACH": "DDL", "INSTALL": "DDL", "LOAD": "DDL",
	"COPY": "DML", "INSERT": "DML", "UPDATE": "DML", "DELETE": "DML", "MERGE": "DML", "EXPORT": "DML", "IMPORT": "DML",
}

// refusal is the answer to a statement that has no syntax tree.
func (a asked) refusal(tree map[string]any) error {
	message, _ := tree["error_message"].(string)
	if kind, _ := tree["error_type"].(string); kind == "parser" {
		line, column := a.place(tree["position"])
		return pipe.Failuref(http.StatusBadRequest, "%sSQL error: ParserError(%q)", prefix, fmt.Sprintf("%s at Line: %d, Column: %d", message, line, column))
	}
	word := ""
	if m := firstWord.FindStringSubmatch(a.sql); m != nil {
		word = strings.ToUpper(m[1])
	}
	switch {
	case word == "SET" || word == "RESET":
		return errNothing
	case word == "SELECT" || word == "WITH": // something else stands beside it
		return pipe.Failuref(http.StatusInternalServerError, prefix+"This feature is not implemented: The context currently only supports a single SQL statement")
	case words[word] != "":
		return pipe.Failuref(http.StatusBadRequest, "%sError during planning: %s not supported: %s", prefix, words[word], word)
	default:
		return pipe.Failuref(http.StatusInternalServerError, "%sThis feature is not implemented: Unsupported SQL statement: %s", prefix, word)
	}
}

// place turns the position of an error into line and column, from 1.
func (a asked) place(position any) (line, column int) {
	at := 0
	switch p := position.(type) {
	case json.Number:
		_, _ = fmt.Sscanf(p.String(), "%d", &at) // else the beginning
	case string:
		_, _ = fmt.Sscanf(p, "%d", &at)
	}
	before := a.sql[:min(max(at, 0), len(a.sql))]
	return 1 + strings.Count(before, "\n"), 1 + len(before) - (strings.LastIndexByte(before, '\n') + 1)
}

// describes returns what SHOW and DESCRIBE ask the catalog for, or "" if the statement is neither.
func (s *statement) describes(tree map[string]any, a asked) (string, error) {
	statements, _ := tree["statements"].([]any)
	if len(statements) != 1 {
		return "", nil
	}
	root, _ := statements[0].(map[string]any)
	root, _ = root["node"].(map[string]any)
	from, _ := root["from_table"].(map[string]any)
	if from["type"] != "SHOW_REF" {
		return "", nil
	}
	name, _ := from["table_name"].(string)
	name = strings.Trim(name, `"`)
	if m := showing.FindStringSubmatch(a.sql); m != nil {
		return s.shows(strings.ToLower(strings.Trim(m[1], `"`)))
	}
	schema, _ := from["schema_name"].(string)
	if query, ok := from["query"].(map[string]any); ok {
		described, _ := query["from_table"].(map[string]any)
		name, _ = described["table_name"].(string)
		schema, _ = described["schema_name"].(string)
	}
	if name == "" {
		return "", pipe.Failuref(http.StatusInternalServerError, prefix+"This feature is not implemented: DESCRIBE of a query")
	}
	if schema != "" {
		name = schema + "." + name
	}
	where, err := s.describedIs(name)
	return "SELECT column_name, data_type, is_nullable FROM information_schema.columns" + where, err
}

// shows is what SHOW of a word asks for.
func (s *statement) shows(word string) (string, error) {
	const rows = "SELECT name, value FROM information_schema.df_settings"
	switch word {
	case "tables":
		return "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables", nil
	case "all":
		return rows + " ORDER BY name", nil
	case "functions":
		return "", pipe.Failuref(http.StatusInternalServerError, prefix+"This feature is not implemented: SHOW FUNCTIONS")
	case "time zone", "timezone":
		word = "datafusion.execution.time_zone"
	}
	if !strings.HasPrefix(word, "datafusion.") {
		return "", pipe.Failuref(http.StatusBadRequest, prefix+"Error during planning: '%s' is not a variable which can be viewed with 'SHOW'", word)
	}
	return rows + " WHERE name = '" + word + "'", nil
}

// describedIs is what holds for the columns of a table, which there must be.
func (s *statement) describedIs(name string) (string, error) {
	full := strings.ToLower(strings.ReplaceAll(name, `"`, ""))
	full = strings.TrimPrefix(strings.TrimPrefix(full, "restate."), "public.")
	schema, table := "public", full
	if before, after, ok := strings.Cut(full, "."); ok {
		schema, table = before, after
	}
	if s.catalog.Table(full) == nil {
		return "", pipe.Failuref(http.StatusBadRequest, prefix+"Error during planning: table 'restate.%s.%s' not found", schema, table)
	}
	return " WHERE table_schema = '" + schema + "' AND table_name = '" + table + "' ORDER BY ordinal_position", nil
}

var (
	noColumn   = regexp.MustCompile(`(?s)Referenced column "([^"]*)" (?:not found|was not found)|does not have a column named "([^"]*)"|Referenced table "([^"]*)" not found`)
	noFunction = regexp.MustCompile(`(?s)Function with name "?([^\s"]+)"? does not exist!(?:\s*Did you mean "([^"]+)")?`)
	firstLine  = regexp.MustCompile(`^[^\n]*`)
)

// failureOf is what came of a statement: the engine names neither the columns that there are, nor a place that its
// author would know.
func (a asked) failureOf(err error, p *plan.Plan) error {
	var d *duckdb.Error
	if !errors.As(err, &d) || d.Type != duckdb.ErrorTypeBinder && d.Type != duckdb.ErrorTypeCatalog {
		return err
	}
	m := noColumn.FindStringSubmatch(d.Msg)
	if m == nil {
		return err
	}
	name := m[1] + m[2] + m[3]
	message := "Schema error: No field named " + name + "."
	if len(p.Fields) > 0 {
		message += " Valid fields are " + strings.Join(p.Fields, ", ") + "."
	}
	if at := regexp.MustCompile(`(?i)\b` + regexp.QuoteMeta(name) + `\b`).FindStringIndex(a.sql); at != nil {
		line, column := a.place(json.Number(strconv.Itoa(at[0])))
		message += fmt.Sprintf(" It is at Line: %d, Column: %d", line, column)
	}
	return pipe.Failuref(http.StatusInternalServerError, "%s%s", prefix, message)
}

// failureOf puts an error of the engine into the contract's words.
func failureOf(err error) *pipe.Failure {
	var d *duckdb.Error
	if !errors.As(err, &d) {
		return pipe.Failuref(http.StatusInternalServerError, "%sExecution error: %v", prefix, err)
	}
	_, text, _ := strings.Cut(d.Msg, ": ")
	line := firstLine.FindString(text)
	status := http.StatusInternalServerError
	var message string
	switch d.Type {
	case duckdb.ErrorTypeBinder, duckdb.ErrorTypeCatalog:
		if m := noFunction.FindStringSubmatch(text); m != nil {
			message = "Error during planning: Invalid function '" + m[1] + "'."
			if m[2] != "" {
				message += "\nDid you mean '" + m[2] + "'?"
			}
			break
		}
		status, message = http.StatusBadRequest, "Error during planning: "+text
	case duckdb.ErrorTypeParser, duckdb.ErrorTypeSyntax:
		status, message = http.StatusBadRequest, "SQL error: ParserError("+fmt.Sprintf("%q", line)+")"
	case duckdb.ErrorTypeConversion, duckdb.ErrorTypeMismatchType:
		message = "Arrow error: Cast error: " + line
	case duckdb.ErrorTypeOutOfMemory:
		message = "Resources exhausted: " + line
	case duckdb.ErrorTypeDivideByZero:
		message = "Arrow error: Divide by zero error"
	case duckdb.ErrorTypeNotImplemented:
		message = "This feature is not implemented: " + line
	default:
		message = "Execution error: " + line
	}
	return pipe.Failuref(status, "%s%s", prefix, message)
}

// scanLine is how a scan is told in the plan.
func (s *statement) scanLine(q *scan.Request, x *stream, analyze bool) string {
	var b strings.Builder
	partitioned := scan.Partitioned(q.Table)
	if partitioned {
		fmt.Fprintf(&b, "PartitionedExecutionPlan: scanner=RemotePartitionsScanner { manager: RemoteScannerManager, table_name: %q }", q.Table)
		if parts, err := q.Partitions(s.question.Partitions); err == nil {
			fmt.Fprintf(&b, ", partitions=%d", len(parts))
		}
	} else {
		fmt.Fprintf(&b, "GenericExecutionPlan: scanner=%s", q.Table)
	}
	fmt.Fprintf(&b, ", projection=[%s]", strings.Join(q.Columns, ", "))
	var filters []string
	for _, f := range q.Filters {
		filters = append(filters, filterText(f))
	}
	if len(filters) > 0 {
		label := "predicate="
		if !partitioned {
			label = "filters="
		}
		b.WriteString(", " + label + strings.Join(filters, " AND "))
	}
	if q.Limit > 0 {
		fmt.Fprintf(&b, ", limit=%d", q.Limit)
	}
	if q.Top != nil {
		fmt.Fprintf(&b, ", top=%d by %s", q.Top.Rows, q.Top.Column)
	}
	if analyze {
		b.WriteString(", metrics=[" + x.metrics() + "]")
	}
	return b.String()
}

func filterText(f scan.Filter) string {
	not := ""
	if f.Not {
		not = "NOT "
	}
	if f.Null {
		return f.Column + " IS " + not + "NULL"
	}
	return f.Column + " " + not + "IN (" + strings.Join(f.Values, ", ") + ")"
}

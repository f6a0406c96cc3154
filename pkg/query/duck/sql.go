//go:build duckdb_arrow && cgo

package duck

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/scan"
)

// prefix is what all messages begin with.
const prefix = "Datafusion error: "

// errNothing is how a statement ends that is answered with no rows.
var errNothing = errors.New("nothing to answer")

// What json_serialize_sql does not take is looked at as text, before the first word of a query or after it was refused.
var (
	explaining = regexp.MustCompile(`(?is)^\s*explain\s+(analyze\s+)?(verbose\s+)?(?:format\s+\w+\s+)?(.*)$`)
	columnsOf  = regexp.MustCompile(`(?is)^\s*show\s+columns\s+(?:from|in)\s+([\w."]+)\s*;?\s*$`)
	unsigned   = regexp.MustCompile(`(?i)\b(tinyint|smallint|int|integer|bigint)\s+unsigned\b`)
	firstWord  = regexp.MustCompile(`(?s)^(?:\s|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+)`)
)

// asked is a statement as it came.
type asked struct {
	sql     string // what is to be parsed
	explain string // what stands before it; "" if rows are wanted
}

func classify(sql string) asked {
	m := explaining.FindStringSubmatch(sql)
	if m == nil {
		return asked{sql: sql}
	}
	if m[1] != "" {
		return asked{sql: m[3], explain: "EXPLAIN ANALYZE "}
	}
	return asked{sql: m[3], explain: "EXPLAIN "}
}

// again is the statement in the engine's dialect, if it may be that which it was refused for.
func (a asked) again() (string, bool) {
	if m := columnsOf.FindStringSubmatch(a.sql); m != nil {
		return "SELECT table_catalog, table_schema, table_name, column_name, data_type, is_nullable FROM information_schema.columns" +
			describedIs(m[1]), true
	}
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
	case word == "SET":
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

// describes returns what SHOW TABLES and DESCRIBE ask the catalog for, or "" if the statement is neither.
func describes(tree map[string]any) string {
	statements, _ := tree["statements"].([]any)
	if len(statements) != 1 {
		return ""
	}
	root, _ := statements[0].(map[string]any)
	root, _ = root["node"].(map[string]any)
	from, _ := root["from_table"].(map[string]any)
	if from["type"] != "SHOW_REF" {
		return ""
	}
	name, _ := from["table_name"].(string)
	if strings.Trim(name, `"`) == "tables" {
		return "SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables"
	}
	if query, ok := from["query"].(map[string]any); ok {
		described, _ := query["from_table"].(map[string]any)
		name, _ = described["table_name"].(string)
	}
	return "SELECT column_name, data_type, is_nullable FROM information_schema.columns" + describedIs(name)
}

// describedIs is what holds for the columns of a table of the public schema.
func describedIs(name string) string {
	name = strings.ToLower(strings.ReplaceAll(strings.Trim(name, `"`), "'", "''"))
	return " WHERE table_schema = 'public' AND table_name = '" + name + "' ORDER BY ordinal_position"
}

var (
	noColumn   = regexp.MustCompile(`(?s)Referenced column "([^"]*)" (?:not found|was not found)|does not have a column named "([^"]*)"|Referenced table "([^"]*)" not found`)
	noFunction = regexp.MustCompile(`(?s)Function with name "?([^\s"]+)"? does not exist!(?:\s*Did you mean "([^"]+)")?`)
	firstLine  = regexp.MustCompile(`^[^\n]*`)
)

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
		if m := noColumn.FindStringSubmatch(text); m != nil {
			message = "Schema error: No field named " + m[1] + m[2] + m[3] + ". " + strings.ReplaceAll(text, "\n", " ")
			break
		}
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
	if analyze {
		fmt.Fprintf(&b, ", metrics=[output_rows=%d, output_bytes=%d]", x.rows.Load(), x.bytes.Load())
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

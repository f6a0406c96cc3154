package plan

import (
	"fmt"
	"strings"

	"reprise/pkg/query/table"
)

// renamed are functions that the engine has under another name. Those beginning with reprise_ are macros of Macros.
var renamed = map[string]string{
	"first_value": "first", "last_value": "last", "approx_distinct": "approx_count_distinct",
	"->>": "json_as_text", "to_timestamp": "reprise_to_timestamp", "octet_length": "reprise_octet_length",
	"regexp_full_match": "regexp_matches", // which is what ~ means
}

// translate puts what the engine calls otherwise into its words.
func translate(tree node) {
	each(tree, func(n node) bool {
		if text(n, "class") != "FUNCTION" { // a window function is none: first_value is one there
			return true
		}
		if text(n, "schema") == "pg_catalog" {
			n["schema"] = "" // there are macros, or functions, for those that we know
		}
		if text(n, "function_name") == "/" && len(list(n, "children")) == 2 {
			n["function_name"] = "//" // which divides integers as integers, and others as they are
			return true
		}
		if name := renamed[strings.ToLower(text(n, "function_name"))]; name != "" {
			n["function_name"], n["is_operator"] = name, false
		}
		return true
	})
}

// Macros are functions of the dialect that the engine lacks, as its own statements.
var Macros = []string{
	`CREATE MACRO date_bin(width, ts, origin) AS time_bucket(width, CAST(ts AS TIMESTAMPTZ), CAST(origin AS TIMESTAMPTZ)),
		(width, ts) AS time_bucket(width, CAST(ts AS TIMESTAMPTZ), TIMESTAMPTZ '1970-01-01 00:00:00+00')`,
	`CREATE MACRO to_unixtime(ts) AS CAST(floor(epoch(CAST(ts AS TIMESTAMPTZ))) AS BIGINT)`,
	`CREATE MACRO reprise_to_timestamp(ts) AS CASE WHEN typeof(ts) LIKE '%INT%' THEN make_timestamptz(1000000 * TRY_CAST(CAST(ts AS VARCHAR) AS BIGINT))
		ELSE CAST(CAST(ts AS VARCHAR) AS TIMESTAMPTZ) END`,
	`CREATE MACRO to_timestamp_seconds(ts) AS make_timestamptz(1000000 * CAST(ts AS BIGINT))`,
	`CREATE MACRO to_timestamp_millis(ts) AS make_timestamptz(1000 * CAST(ts AS BIGINT))`,
	`CREATE MACRO to_timestamp_micros(ts) AS make_timestamptz(CAST(ts AS BIGINT))`,
	`CREATE MACRO reprise_octet_length(t) AS octet_length(CAST(t AS BLOB))`,
	`CREATE MACRO arrow_typeof(x) AS CASE typeof(x) WHEN 'VARCHAR' THEN 'LargeUtf8' WHEN 'BLOB' THEN 'LargeBinary' WHEN 'BOOLEAN' THEN 'Boolean'
		WHEN 'UINTEGER' THEN 'UInt32' WHEN 'UBIGINT' THEN 'UInt64' WHEN 'INTEGER' THEN 'Int64' WHEN 'BIGINT' THEN 'Int64' WHEN 'DOUBLE' THEN 'Float64'
		WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'Timestamp(ms, "+00:00")' WHEN 'INTERVAL' THEN 'Duration(ms)'
		WHEN 'UINTEGER[]' THEN 'List(UInt32)' WHEN 'VARCHAR[]' THEN 'List(LargeUtf8)' ELSE typeof(x) END`,
	// Of Postgres: what its clients ask about tables, and about the server.
	`CREATE MACRO reprise_version() AS 'PostgreSQL 16.0 (Reprise)'`,
	`CREATE MACRO pg_get_userbyid(o) AS 'reprise'`,
	`CREATE MACRO pg_table_is_visible(o) AS true`,
	`CREATE MACRO pg_type_is_visible(o) AS true`,
	`CREATE MACRO pg_function_is_visible(o) AS true`,
	`CREATE MACRO pg_relation_is_publishable(o) AS false`,
	`CREATE MACRO pg_encoding_to_char(e) AS 'UTF8'`,
	`CREATE MACRO pg_get_expr(e, o) AS CAST(NULL AS VARCHAR), (e, o, p) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO pg_get_viewdef(o) AS CAST(NULL AS VARCHAR), (o, p) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO pg_get_indexdef(o) AS CAST(NULL AS VARCHAR), (o, c, p) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO pg_get_constraintdef(o) AS CAST(NULL AS VARCHAR), (o, p) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO pg_get_function_result(o) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO pg_get_function_arguments(o) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO pg_get_statisticsobjdef_columns(o) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO obj_description(o) AS CAST(NULL AS VARCHAR), (o, c) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO shobj_description(o, c) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO col_description(o, n) AS CAST(NULL AS VARCHAR)`,
	`CREATE MACRO pg_table_size(o) AS CAST(NULL AS BIGINT)`,
	`CREATE MACRO pg_relation_size(o) AS CAST(NULL AS BIGINT)`,
	`CREATE MACRO pg_total_relation_size(o) AS CAST(NULL AS BIGINT)`,
	`CREATE MACRO pg_is_in_recovery() AS false`,
	`CREATE MACRO pg_backend_pid() AS 1`,
	`CREATE MACRO has_table_privilege(t, p) AS true, (u, t, p) AS true`,
	`CREATE MACRO has_schema_privilege(s, p) AS true, (u, s, p) AS true`,
	`CREATE MACRO has_column_privilege(t, c, p) AS true, (u, t, c, p) AS true`,
	`CREATE MACRO has_database_privilege(d, p) AS true, (u, d, p) AS true`,
	`CREATE MACRO quote_ident(t) AS CASE WHEN regexp_full_match(t, '[a-z_][a-z0-9_$]*') THEN t ELSE '"' || replace(t, '"', '""') || '"' END`,
	`CREATE MACRO array_lower(l, d) AS CASE WHEN len(l) > 0 THEN 1 END`,
	`CREATE MACRO array_upper(l, d) AS nullif(len(l), 0)`,
	`CREATE MACRO parse_ident(t) AS string_split(replace(t, '"', ''), '.')`,
	`CREATE MACRO current_setting(t) AS CASE lower(t) WHEN 'server_version_num' THEN '160000' WHEN 'server_version' THEN '16.0' WHEN 'search_path' THEN 'public'
		WHEN 'timezone' THEN 'UTC' ELSE '' END, (t, m) AS CASE lower(t) WHEN 'server_version_num' THEN '160000' WHEN 'search_path' THEN 'public' ELSE '' END`,
	formatType(),
	`CREATE MACRO reprise_json(j) AS CASE WHEN json_valid(j) THEN j END`,
	`CREATE MACRO json_as_text(j, k) AS json_extract_string(reprise_json(j), k)`,
	`CREATE MACRO json_get_json(j, k) AS CAST(json_extract(reprise_json(j), k) AS VARCHAR)`,
	`CREATE MACRO json_get(j, k) AS CAST(json_extract(reprise_json(j), k) AS VARCHAR)`,
	`CREATE MACRO json_get_array(j, k) AS CAST(json_extract(reprise_json(j), k) AS VARCHAR[])`,
	`CREATE MACRO json_get_str(j, k) AS CASE WHEN json_type(reprise_json(j), k) = 'VARCHAR' THEN json_extract_string(reprise_json(j), k) END`,
	`CREATE MACRO json_get_int(j, k) AS TRY_CAST(json_extract_string(reprise_json(j), k) AS BIGINT)`,
	`CREATE MACRO json_get_float(j, k) AS TRY_CAST(json_extract_string(reprise_json(j), k) AS DOUBLE)`,
	`CREATE MACRO json_get_bool(j, k) AS TRY_CAST(json_extract_string(reprise_json(j), k) AS BOOLEAN)`,
	`CREATE MACRO json_length(j) AS json_array_length(reprise_json(j))`,
	`CREATE MACRO json_object_keys(j) AS json_keys(reprise_json(j))`,
}

// formatType is the macro that names a type by its object id.
func formatType() string {
	var b strings.Builder
	b.WriteString("CREATE MACRO format_type(t, m) AS CASE t")
	for _, t := range table.PostgresTypes {
		fmt.Fprintf(&b, " WHEN %d THEN '%s'", t.OID, t.SQL)
	}
	b.WriteString(" ELSE '-' END")
	return b.String()
}

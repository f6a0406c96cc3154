package plan

import "strings"

// renamed are functions that the engine has under another name. Those beginning with reprise_ are macros of Macros.
var renamed = map[string]string{
	"first_value": "first", "last_value": "last", "approx_distinct": "approx_count_distinct",
	"->>": "json_as_text", "to_timestamp": "reprise_to_timestamp", "octet_length": "reprise_octet_length",
}

// translate puts what the engine calls otherwise into its words.
func translate(tree node) {
	each(tree, func(n node) bool {
		if text(n, "class") != "FUNCTION" { // a window function is none: first_value is one there
			return true
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

package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// validator knows as much of JSON schema as ours uses. It fails the test at anything else.
type validator struct {
	t    *testing.T
	defs map[string]any
}

func schemaOf(t *testing.T) (validator, map[string]any) {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return validator{t: t, defs: root["$defs"].(map[string]any)}, root
}

// faults lists where v does not fit s.
func (x validator) faults(at string, s map[string]any, v any) (out []string) {
	bad := func(format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) }
	number, isNumber := v.(float64)
	text, isText := v.(string)
	for word, rule := range s {
		switch word {
		case "$schema", "title", "$defs", "description", "default":
		case "$ref":
			out = append(out, x.faults(at, x.defs[strings.TrimPrefix(rule.(string), "#/$defs/")].(map[string]any), v)...)
		case "anyOf":
			fits := false
			for _, one := range rule.([]any) {
				fits = fits || len(x.faults(at, one.(map[string]any), v)) == 0
			}
			if !fits {
				bad("%v is none of %v", v, rule)
			}
		case "type":
			got := map[reflect.Kind]string{reflect.Float64: "number", reflect.String: "string", reflect.Bool: "boolean", reflect.Slice: "array", reflect.Map: "object"}[reflect.ValueOf(v).Kind()]
			if got != rule && !(rule == "integer" && isNumber && number == float64(int64(number))) {
				bad("%v is no %s", v, rule)
			}
		case "const":
			if v != rule {
				bad("%v is not %v", v, rule)
			}
		case "enum":
			fits := false
			for _, one := range rule.([]any) {
				fits = fits || one == v
			}
			if !fits {
				bad("%v is none of %v", v, rule)
			}
		case "pattern":
			if isText && !regexp.MustCompile(rule.(string)).MatchString(text) {
				bad("%q does not match %s", text, rule)
			}
		case "minimum", "maximum", "exclusiveMinimum":
			limit := rule.(float64)
			if isNumber && (word == "minimum" && number < limit || word == "maximum" && number > limit || word == "exclusiveMinimum" && number <= limit) {
				bad("%v breaks %s %v", v, word, limit)
			}
		case "items":
			list, _ := v.([]any) // its type has a rule of its own
			for _, e := range list {
				out = append(out, x.faults(at, rule.(map[string]any), e)...)
			}
		case "properties":
			table, _ := v.(map[string]any) // likewise
			for key, e := range table {
				if inner, ok := rule.(map[string]any)[key]; ok {
					out = append(out, x.faults(at+"."+key, inner.(map[string]any), e)...)
				}
			}
		default:
			x.t.Fatalf("the schema uses %s, which this test does not know", word)
		}
	}
	return out
}

// asJSON is a TOML document as JSON has it.
func asJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := toml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	m = nil
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The dump of the defaults fits the schema, and so does another value of each key.
func TestSchemaFitsWhatIsRead(t *testing.T) {
	x, root := schemaOf(t)
	cfg, _ := load(t, Options{})
	var b strings.Builder
	if err := cfg.Dump(&b); err != nil {
		t.Fatal(err)
	}
	for _, f := range x.faults("", root, asJSON(t, b.String())) {
		t.Errorf("default%s", f)
	}
	for name, k := range keysByName(t) {
		value := other(k)
		if value == "" {
			continue
		}
		for _, f := range x.faults("", root, asJSON(t, tree2toml(name, value))) {
			t.Errorf("%s", f)
		}
	}
	for _, text := range []string{`shutdown-timeout = "1 day, 2h"`, `shutdown-timeout = 0`, `shutdown-timeout = "PT1M30S"`, `rocksdb-total-memory-size = 1073741824`, `rocksdb-total-memory-size = "64MB"`, `default-replication = 2`, `default-replication = {zone = 2, node = 3}`, `max-retry-policy-max-attempts = "unlimited"`, "[bifrost.replicated-loglet]\nrpc-timeout = \"250ms..1m\"", "[unknown]\nx = 1"} {
		for _, f := range x.faults("", root, asJSON(t, text)) {
			t.Errorf("%s: %s", text, f)
		}
	}
}

// What is refused at the start does not fit the schema either, as far as a schema can tell.
func TestSchemaRefusesWhatIsNotRead(t *testing.T) {
	x, root := schemaOf(t)
	for _, text := range []string{
		`shutdown-timeout = 5`, `shutdown-timeout = "5 "`, `shutdown-timeout = "-1s"`, `rocksdb-total-memory-size = "2 gigs"`, `rocksdb-total-memory-size = -1`, `rocksdb-total-memtables-ratio = 1.5`,
		`rocksdb-total-memtables-ratio = 0.0`, `default-num-partitions = 0`, `default-num-partitions = 65536`, `bind-port = 65536`, `log-format = "xml"`, `auto-provision = 1`, `roles = "worker"`, `roles = [1]`,
		`max-retry-policy-max-attempts = 0`, `worker = 3`, "[worker.invoker]\nadditional-request-headers = []", "[metadata-client]\ntype = \"dynamo-db\"", "[admin.query-engine.rate-limiting]\nrate = \"7\"",
	} {
		if len(x.faults("", root, asJSON(t, text))) == 0 {
			t.Errorf("%s fits the schema", text)
		}
	}
}

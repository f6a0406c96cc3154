package differential

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// answer is what a server said, without what differs from run to run.
type answer struct {
	status  int
	headers map[string]string
	body    string
	json    any // nil if the body is none
}

var (
	ids   = regexp.MustCompile(`\b(dp|inv|sub|vq)_1[0-9A-Za-z]+`)
	times = regexp.MustCompile(`\d{4}-\d{2}-\d{2}T[0-9:.]+Z`)
	hosts = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// passing are headers that say nothing about the API.
var passing = []string{"Date", "Content-Length", "Transfer-Encoding", "Connection"}

func newAnswer(status int, h http.Header, body []byte) answer {
	a := answer{status: status, headers: map[string]string{}}
	for name, values := range h {
		if slices.Contains(passing, name) {
			continue
		}
		value := masked(strings.Join(values, ", "))
		switch name {
		case "Vary": // a list of names, whose case does not count
			value = strings.ToLower(value)
		case "Allow": // a set
			list := strings.Split(value, ",")
			slices.Sort(list)
			value = strings.Join(list, ",")
		}
		a.headers[strings.ToLower(name)] = value
	}
	if a.body = masked(string(body)); h.Get("Content-Encoding") != "" {
		return answer{status: status, headers: a.headers} // two compressors never make the same of a body
	}
	if strings.Contains(h.Get("Content-Type"), "json") && len(body) > 0 {
		if err := json.Unmarshal([]byte(a.body), &a.json); err != nil {
			a.json = nil
		}
	}
	if doc, ok := a.json.(map[string]any); ok {
		if paths, ok := doc["paths"].(map[string]any); ok && paths["/deployments"] != nil {
			a.json = outline(doc)
		}
	}
	return a
}

// outline is what an OpenAPI document of the API says of operations: schemas, which can be written in many
// ways, are compared with the contract in pkg/admin.
func outline(doc map[string]any) map[string]any {
	out := map[string]any{"openapi": doc["openapi"]}
	paths, _ := doc["paths"].(map[string]any)
	for path, methods := range paths {
		each, _ := methods.(map[string]any)
		for method, v := range each {
			op, _ := v.(map[string]any)
			var params, statuses []any
			list, _ := op["parameters"].([]any)
			for _, p := range list {
				m, _ := p.(map[string]any)
				params = append(params, fmt.Sprint(m["in"], " ", m["name"]))
			}
			responses, _ := op["responses"].(map[string]any)
			for status := range responses {
				statuses = append(statuses, status)
			}
			out[method+" "+path] = map[string]any{
				"operationId": op["operationId"], "parameters": params, "statuses": statuses, "body": op["requestBody"] != nil,
			}
		}
	}
	return out
}

func masked(text string) string {
	text = ids.ReplaceAllString(text, "${1}_ID")
	return hosts.ReplaceAllString(times.ReplaceAllString(text, "TIME"), "HOST")
}

// differences lists where ours is unlike the reference.
func differences(ref, our answer) (list []string) {
	if ref.status != our.status {
		return []string{fmt.Sprintf("status %d, ours %d (%.200s; ours %.200s)", ref.status, our.status, ref.body, our.body)}
	}
	names := maps.Clone(ref.headers)
	maps.Copy(names, our.headers)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if ref.headers[name] != our.headers[name] {
			list = append(list, fmt.Sprintf("header %s %q, ours %q", name, ref.headers[name], our.headers[name]))
		}
	}
	switch {
	case ref.json != nil && our.json != nil:
		list = append(list, compare("", ref.json, our.json)...)
	case strings.HasPrefix(ref.headers["content-type"], "text/plain"):
		// Up to its first colon a text is the contract's, what comes then is everybody's own.
		if a, b := beginning(ref.body), beginning(our.body); a != b {
			list = append(list, fmt.Sprintf("text %q, ours %q", ref.body, our.body))
		}
	case strings.HasPrefix(ref.headers["content-type"], "text/html"): // everybody's own
	case ref.body != our.body:
		list = append(list, fmt.Sprintf("body %.200q, ours %.200q", ref.body, our.body))
	}
	return list
}

func beginning(text string) string {
	before, _, _ := strings.Cut(text, ":")
	return before
}

// ownWords are texts for people, which each server words itself; descriptions it may have or not.
var (
	ownWords     = []string{"message", "error"}
	descriptions = []string{"description", "summary", "example", "externalDocs"}
)

// compare walks two JSON values. Lists of named things are in no order.
func compare(path string, ref, our any) (list []string) {
	switch ref := ref.(type) {
	case map[string]any:
		other, ok := our.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is an object, ours %s", path, short(our))}
		}
		names := maps.Clone(ref)
		maps.Copy(names, other)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			a, hasA := ref[name]
			b, hasB := other[name]
			switch {
			case slices.Contains(descriptions, name):
			case !hasA:
				list = append(list, fmt.Sprintf("%s.%s is not there, ours %s", path, name, short(b)))
			case !hasB:
				list = append(list, fmt.Sprintf("%s.%s %s, ours is not there", path, name, short(a)))
			case slices.Contains(ownWords, name) && isText(a) == isText(b):
			default:
				list = append(list, compare(path+"."+name, a, b)...)
			}
		}
	case []any:
		other, ok := our.([]any)
		if !ok || len(ref) != len(other) {
			return []string{fmt.Sprintf("%s %s, ours %s", path, short(ref), short(our))}
		}
		a, b := sorted(ref), sorted(other)
		for i := range a {
			list = append(list, compare(fmt.Sprintf("%s[%d]", path, i), a[i], b[i])...)
		}
	default:
		if ref != our {
			list = append(list, fmt.Sprintf("%s %s, ours %s", path, short(ref), short(our)))
		}
	}
	return list
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

// sorted sorts a list by the names of its members, or by their text.
func sorted(list []any) []any {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b any) int { return strings.Compare(sortKey(a), sortKey(b)) })
	return list
}

func sortKey(v any) string {
	if m, ok := v.(map[string]any); ok {
		for _, name := range []string{"name", "uri", "arn", "$ref", "id"} {
			if s, ok := m[name].(string); ok {
				return s + short(m["services"])
			}
		}
	}
	return short(v)
}

func short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%.300s", b)
}

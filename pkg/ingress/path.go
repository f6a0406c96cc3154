package ingress

import (
	"strings"
	"unicode/utf8"
)

// A path has at least two segments and at most seven.
const (
	segmentsMin = 2
	segmentsMax = 7
)

// path is a request target cut into segments, still escaped.
type path struct {
	whole    string // without slashes around it
	segments [segmentsMax]string
	n        int
	query    string
}

// cutPath cuts a target. Slashes at the end are dropped, several at the front are one. A fragment, which
// no client sends, is dropped. ok is false if there are too few or too many segments.
func cutPath(target string) (p path, ok bool) {
	target, _, _ = strings.Cut(target, "#")
	raw, query, _ := strings.Cut(target, "?")
	p.whole, p.query = strings.Trim(raw, "/"), query
	rest, more := p.whole, true
	for more {
		if p.n == segmentsMax {
			return p, false
		}
		p.segments[p.n], rest, more = strings.Cut(rest, "/")
		p.n++
	}
	return p, p.n >= segmentsMin
}

// decodeKey decodes the percent escapes of a key. A malformed escape stays as it is.
func decodeKey(s string) (string, *failure) {
	d := unescape(s, false)
	if !utf8.ValidString(d) {
		return "", errBadKey
	}
	return d, nil
}

func unescape(s string, plusIsSpace bool) string {
	if !strings.Contains(s, "%") && !(plusIsSpace && strings.Contains(s, "+")) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		case c == '+' && plusIsSpace:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return isDigit(c) || ('a' <= c && c <= 'f') || ('A' <= c && c <= 'F')
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// queryValue returns the first value of a form-encoded parameter, whose name is compared without case.
func queryValue(query, name string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, _ := strings.Cut(pair, "=")
		if strings.EqualFold(unescape(k, true), name) {
			return unescape(v, true), true
		}
	}
	return "", false
}

// scopeMax is the longest scope or part of a limit key, in bytes.
const scopeMax = 36

// checkRestricted says what is wrong with a scope or a part of a limit key; empty if nothing is.
func checkRestricted(s string) string {
	if s == "" {
		return "value cannot be empty"
	}
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') && c != '_' && c != '.' && c != '-' {
			return "value contains characters outside the allowed set [a-zA-Z0-9_.-]"
		}
	}
	if len(s) > scopeMax {
		return "value too long"
	}
	return ""
}

// checkLimitKey checks a limit key, which nothing but scoped invocations can have.
func checkLimitKey(key string) *failure {
	if key == "" {
		return nil
	}
	first, second, two := strings.Cut(strings.TrimSuffix(key, "/"), "/")
	if strings.Contains(second, "/") {
		return failf(statusBadRequest, "invalid limit-key: too many path components in the given limit-key (max 2)")
	}
	why := checkRestricted(first)
	if why == "" && two {
		why = checkRestricted(second)
	}
	if why != "" {
		return failf(statusBadRequest, "invalid limit-key: %s", why)
	}
	return errLimitScope
}

// visibleASCII tells whether a header value is visible ASCII, spaces and tabs.
func visibleASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}

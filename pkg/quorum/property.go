package quorum

import (
	"fmt"
	"strconv"
	"strings"

	"reprise/pkg/errs"
)

// Scope is a level of location. A larger scope has a larger number.
type Scope uint8

// The scopes.
const (
	Node   Scope = 0
	Zone   Scope = 1
	Region Scope = 2
	scopes       = 3
)

var scopeNames = [scopes]string{"node", "zone", "region"}

// String returns the word of the scope.
func (s Scope) String() string { return scopeNames[s] }

// CopiesMax bounds how many copies a property may ask for.
const CopiesMax = NodesetMax

// Property says over how many domains of each scope the copies of a record are spread.
type Property struct {
	factors [scopes]uint8 // 0: the scope is not in the property
}

// Flat is the property of n copies on different nodes.
func Flat(n int) Property { return Property{factors: [scopes]uint8{Node: uint8(n)}} }

// Parse reads "2", "{node: 2}" or "{zone: 2, node: 3}".
func Parse(text string) (Property, error) {
	var p Property
	body := strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(body, "{"); ok {
		inner, ok = strings.CutSuffix(inner, "}")
		if !ok {
			return p, invalid(text, "a brace is not closed")
		}
		body = inner
	} else {
		body = "node: " + body
	}
	for part := range strings.SplitSeq(body, ",") {
		name, number, ok := strings.Cut(part, ":")
		if !ok {
			return p, invalid(text, "want scope: factor")
		}
		scope, ok := scopeOf(strings.TrimSpace(name))
		if !ok {
			return p, invalid(text, "scopes are node, zone and region")
		}
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 8)
		if err != nil || n == 0 || n > CopiesMax {
			return p, invalid(text, fmt.Sprintf("a factor is a number from 1 to %d", CopiesMax))
		}
		if p.factors[scope] != 0 {
			return p, invalid(text, "a scope stands twice")
		}
		p.factors[scope] = uint8(n)
	}
	return p.normal(text)
}

func scopeOf(name string) (Scope, bool) {
	for i, n := range scopeNames {
		if n == name {
			return Scope(i), true
		}
	}
	return 0, false
}

func invalid(text, why string) error {
	return errs.Newf(errs.Invalid, "replication %q: %s", text, why)
}

// normal fills the node factor, checks the order and drops what adds nothing.
func (p Property) normal(text string) (Property, error) {
	last := uint8(0)
	for s := range scopes {
		f := p.factors[s]
		if f == 0 {
			continue
		}
		if p.factors[Node] == 0 {
			p.factors[Node] = f // the smallest scope given decides the copies
		}
		if last != 0 && f > last {
			return p, invalid(text, "a larger scope cannot ask for more than a smaller one")
		}
		last = f
	}
	return p, nil
}

// Copies is the number of nodes that hold a record.
func (p Property) Copies() int { return int(p.factors[Node]) }

// Factor is the number of domains of a scope, 0 if the property does not name it.
func (p Property) Factor(s Scope) int { return int(p.factors[s]) }

// widest is the largest scope of the property.
func (p Property) widest() Scope {
	for s := Scope(scopes - 1); s > Node; s-- {
		if p.factors[s] != 0 {
			return s
		}
	}
	return Node
}

// String writes the property as Parse reads it: {zone: 2, node: 3}.
func (p Property) String() string {
	var parts []string
	for s := scopes - 1; s >= 0; s-- {
		if f := p.factors[s]; f != 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", scopeNames[s], f))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

package main

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// Each line of testdata/bad that ends in "want RULE..." breaks these rules, no other line does but
// those with a comment that is wrong itself.
func TestEachRuleFindsWhatBreaksIt(t *testing.T) {
	packages, err := load([]string{"./testdata/bad"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{ // where a comment more would change the meaning
		"bad.go:84: nolint", "bad.go:85: todo", "bad.go:87: style", "bad.go:88: style",
	}
	var got []string
	for _, p := range packages {
		if p.err != nil {
			t.Fatal(p.err)
		}
		for _, f := range check(p) {
			got = append(got, fmt.Sprintf("%s:%d: %s", base(f.at.Filename), f.at.Line, f.rule))
		}
		eachComment(p, func(c *ast.Comment) {
			at := p.fset.Position(c.Pos())
			if text, ok := strings.CutPrefix(c.Text, "// want "); ok {
				for _, rule := range strings.Fields(text) {
					want = append(want, fmt.Sprintf("%s:%d: %s", base(at.Filename), at.Line, rule))
				}
			}
		})
	}
	slices.Sort(got)
	slices.Sort(want)
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("found:\n%s\nwant:\n%s", a, b)
	}
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

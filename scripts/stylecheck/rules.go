package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// rule is one house rule. Its check reports the places that break it.
type rule struct {
	name, what string
	check      func(*pass)
}

var rules = []rule{
	{"goroutine", "goroutines start in pkg/lifecycle only", goroutines},
	{"clock", "the clock is read in pkg/host and in main only", clocks},
	{"rand", "random numbers come from pkg/host only", randoms},
	{"init", "no init function", inits},
	{"variable", "no package variable changes", variables},
	{"doc", "each package has a doc.go that begins \"Package x\"; a command says so in main.go", docs},
	{"name", "a package is named after what it is", names},
	{"logkey", "log messages are constant and lower-case, attribute keys come from pkg/logkey", logKeys},
	{"nolint", "a nolint names its linter and gives a reason", nolints},
	{"todo", "a TODO names its issue", todos},
	{"sleep", "no test sleeps", sleeps},
}

// finding is one place that breaks a rule.
type finding struct {
	at         token.Position
	rule, text string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", f.at.Filename, f.at.Line, f.text, f.rule)
}

// pass is one rule on its way through one package.
type pass struct {
	*pkg
	rule     string
	excused  map[string]map[int]bool // file, line; of this rule
	findings []finding
}

func (p *pass) report(at token.Pos, format string, args ...any) {
	pos := p.fset.Position(at)
	if !p.excused[pos.Filename][pos.Line] {
		p.findings = append(p.findings, finding{pos, p.rule, fmt.Sprintf(format, args...)})
	}
}

// inspect walks the hand-written files.
func (p *pass) inspect(visit func(ast.Node)) {
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			visit(n)
			return true
		})
	}
}

func (p *pass) isMain() bool { return p.name == "main" }

func check(p *pkg) []finding {
	if p.err != nil {
		return []finding{{token.Position{Filename: p.path, Line: 1}, "compile", p.err.Error()}}
	}
	var out []finding
	for _, r := range rules {
		ps := &pass{pkg: p, rule: r.name, excused: excuses(p, r.name)}
		r.check(ps)
		out = append(out, ps.findings...)
	}
	return append(out, badExcuses(p)...)
}

var excusePattern = regexp.MustCompile(`^//style:(\S*)\s*(.*)$`)

// excuses are the lines that may break a rule: those with such a comment, and those below one.
func excuses(p *pkg, rule string) map[string]map[int]bool {
	lines := map[string]map[int]bool{}
	eachComment(p, func(c *ast.Comment) {
		m := excusePattern.FindStringSubmatch(c.Text)
		if m == nil || m[1] != rule {
			return
		}
		pos := p.fset.Position(c.Pos())
		if lines[pos.Filename] == nil {
			lines[pos.Filename] = map[int]bool{}
		}
		lines[pos.Filename][pos.Line] = true
		lines[pos.Filename][pos.Line+1] = true
	})
	return lines
}

// badExcuses are those that name no rule or give no reason.
func badExcuses(p *pkg) []finding {
	known := map[string]bool{}
	for _, r := range rules {
		known[r.name] = true
	}
	var out []finding
	eachComment(p, func(c *ast.Comment) {
		m := excusePattern.FindStringSubmatch(c.Text)
		switch {
		case m == nil:
		case !known[m[1]]:
			out = append(out, finding{p.fset.Position(c.Pos()), "style", fmt.Sprintf("no rule is named %q", m[1])})
		case m[2] == "":
			out = append(out, finding{p.fset.Position(c.Pos()), "style", "an excuse needs a reason"})
		}
	})
	return out
}

func eachComment(p *pkg, visit func(*ast.Comment)) {
	for _, files := range [][]*ast.File{p.files, p.tests} {
		for _, f := range files {
			for _, group := range f.Comments {
				for _, c := range group.List {
					visit(c)
				}
			}
		}
	}
}

// large lists what should make its author stop and think.
func large(p *pkg) []finding {
	var out []finding
	for _, f := range p.files {
		if n := p.fset.Position(f.End()).Line; n > 500 {
			out = append(out, finding{token.Position{Filename: p.fset.Position(f.Pos()).Filename, Line: 1}, "size", fmt.Sprintf("file of %d lines", n)})
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := p.fset.Position(fn.End()).Line - p.fset.Position(fn.Pos()).Line + 1; n > 70 {
				out = append(out, finding{p.fset.Position(fn.Pos()), "size", fmt.Sprintf("%s has %d lines", fn.Name.Name, n)})
			}
		}
	}
	return out
}

func docs(p *pass) {
	if len(p.files) == 0 {
		return // generated, or tests alone
	}
	file, want := "doc.go", regexp.MustCompile("^Package "+p.name+" ")
	if p.isMain() { // the program may be named after the project, too
		file, want = "main.go", regexp.MustCompile("^Command ("+module+"-)?"+filepath.Base(p.path)+" ")
	}
	for _, f := range p.files {
		if filepath.Base(p.fset.Position(f.Pos()).Filename) != file {
			continue
		}
		if !want.MatchString(f.Doc.Text()) {
			p.report(f.Package, "the comment of %s begins %q", file, want)
		}
		return
	}
	p.report(p.files[0].Package, "package %s has no %s", p.path, file)
}

func names(p *pass) {
	switch strings.TrimSuffix(p.name, "_test") {
	case "util", "utils", "common", "helper", "helpers", "base", "types", "models", "misc", "shared":
		for _, f := range append(p.files, p.tests...) {
			p.report(f.Package, "package name %q says nothing", p.name)
		}
	}
}

var (
	nolintPattern = regexp.MustCompile(`^//\s*nolint`)
	nolintGood    = regexp.MustCompile(`^//nolint:[a-z0-9]+(,[a-z0-9]+)* // \S`)
	todoPattern   = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	todoGood      = regexp.MustCompile(`\bTODO\(#\d+\): \S`)
)

func nolints(p *pass) {
	eachComment(p.pkg, func(c *ast.Comment) {
		if nolintPattern.MatchString(c.Text) && !nolintGood.MatchString(c.Text) {
			p.report(c.Pos(), "write //nolint:linter // reason")
		}
	})
}

func todos(p *pass) {
	eachComment(p.pkg, func(c *ast.Comment) {
		if todoPattern.MatchString(c.Text) && !todoGood.MatchString(c.Text) {
			p.report(c.Pos(), "write TODO(#issue): what")
		}
	})
}

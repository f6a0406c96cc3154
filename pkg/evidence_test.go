package pkg_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Pages that say which test holds what: all that they name exists.

const (
	errorsPage    = "../docs/checklists/errors.md"
	checklistPage = "../tests/conformance/README.md"
	casesPage     = "../tests/conformance/CASES.md"
	scripts       = "partition/testdata/"
)

// testFolder is the tests of one folder.
type testFolder struct {
	funcs map[string]*ast.FuncDecl
	vars  map[string]ast.Expr
}

// testTree knows the folders that were asked for.
type testTree map[string]*testFolder

func (tree testTree) folder(t *testing.T, dir string) *testFolder {
	t.Helper()
	if f := tree[dir]; f != nil {
		return f
	}
	f := &testFolder{funcs: map[string]*ast.FuncDecl{}, vars: map[string]ast.Expr{}}
	tree[dir] = f
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					f.funcs[d.Name.Name] = d
				}
			case *ast.GenDecl:
				f.addVars(d)
			}
		}
	}
	return f
}

func (f *testFolder) addVars(d *ast.GenDecl) {
	for _, s := range d.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, name := range v.Names {
			if i < len(v.Values) {
				f.vars[name.Name] = v.Values[i]
			}
		}
	}
}

// literals are the texts of a test, and of the tables and functions of its folder that it uses. What is put together
// has "…" for what is no literal.
func (f *testFolder) literals(name string) (all []string) {
	seen := map[string]bool{}
	var walk func(n ast.Node) bool
	use := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if d := f.funcs[name]; d != nil {
			ast.Inspect(d.Body, walk)
		} else if v := f.vars[name]; v != nil {
			ast.Inspect(v, walk)
		}
	}
	walk = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit, *ast.BinaryExpr:
			if text, ok := textOf(n.(ast.Expr)); ok {
				all = append(all, text)
				return false
			}
		case *ast.Ident:
			use(n.Name)
		}
		return true
	}
	use(name)
	return all
}

// textOf is a text literal, or several that are put together.
func textOf(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, lok := textOf(e.X)
		right, rok := textOf(e.Y)
		if e.Op != token.ADD || !lok && !rok {
			return "", false
		}
		for side, ok := range map[*string]bool{&left: lok, &right: rok} {
			if !ok {
				*side = "…"
			}
		}
		return left + right, true
	default:
		return "", false
	}
}

// has tells whether a test has a row: a text, or two neighbours with a space between.
func (f *testFolder) has(test, row string) bool {
	all := f.literals(test)
	for i, text := range all {
		if text == row || i > 0 && all[i-1]+" "+text == row {
			return true
		}
	}
	return false
}

var (
	namedTest = regexp.MustCompile(`^((?:pkg|tests|services|scripts)(?:/[a-z0-9_]+)*)\.((?:Test|Fuzz)\w*)(?:/(.+))?$`)
	namedCase = regexp.MustCompile(`^conformance ([a-z-]+)/([a-z0-9-]+)$`)
	codeSpan  = regexp.MustCompile("`([^`]+)`")
)

// conformanceCases are the cases of CASES.md as group/name.
func conformanceCases(t *testing.T) map[string]bool {
	t.Helper()
	known, group := map[string]bool{}, ""
	for line := range strings.Lines(readText(t, casesPage)) {
		if g, ok := strings.CutPrefix(line, "## "); ok {
			group = strings.TrimSpace(g)
		}
		if m := regexp.MustCompile("^\\| `([^`]+)`").FindStringSubmatch(line); m != nil {
			known[group+"/"+m[1]] = true
		}
	}
	return known
}

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A row of the page of errors says what holds it: tests, scripts or cases that exist, that it is for later, or why it cannot happen.
func TestErrorPage(t *testing.T) {
	tree, cases := testTree{}, conformanceCases(t)
	rows := 0
	for n, line := range strings.Split(readText(t, errorsPage), "\n") {
		cells := strings.Split(strings.Trim(strings.ReplaceAll(line, `\|`, "\x00"), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || len(cells) < 2 || strings.TrimSpace(cells[len(cells)-1]) == "held by" {
			continue
		}
		rows++
		held := strings.TrimSpace(cells[len(cells)-1])
		names := codeSpan.FindAllStringSubmatch(held, -1)
		if len(names) == 0 && !strings.HasPrefix(held, "later: ") && !strings.HasPrefix(held, "none: ") {
			t.Errorf("line %d: nothing holds it", n+1)
		}
		for _, m := range names {
			if why := missing(t, tree, cases, strings.ReplaceAll(m[1], "\x00", "|")); why != "" {
				t.Errorf("line %d: %s: %s", n+1, m[1], why)
			}
		}
	}
	if rows < 100 {
		t.Errorf("the page has %d rows", rows)
	}
}

// missing tells what is wrong with a name on the page.
func missing(t *testing.T, tree testTree, cases map[string]bool, name string) string {
	t.Helper()
	if m := namedCase.FindStringSubmatch(name); m != nil {
		if !cases[m[1]+"/"+m[2]] {
			return "there is no such case"
		}
		return ""
	}
	if script, ok := strings.CutPrefix(name, "pkg/"+scripts); ok {
		script, part, _ := strings.Cut(script, ": ")
		b, err := os.ReadFile(scripts + script)
		if err != nil {
			return "there is no such script"
		}
		if !strings.Contains(string(b), part) {
			return "the script does not say so"
		}
		return ""
	}
	m := namedTest.FindStringSubmatch(name)
	if m == nil {
		return "it is neither a test nor a script nor a case"
	}
	f := tree.folder(t, filepath.Join("..", m[1]))
	switch {
	case f.funcs[m[2]] == nil:
		return "there is no such test"
	case m[3] != "" && !f.has(m[2], m[3]):
		return "the test has no such row"
	}
	return ""
}

// The checklist of the service protocol names tests, scripts and cases that exist, too. Its tests are of any folder.
func TestConformanceChecklist(t *testing.T) {
	tests := map[string]bool{}
	for _, root := range []string{".", "../tests/e2e"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, "_test.go") {
				for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(readText(t, path), -1) {
					tests[m[1]] = true
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cases := conformanceCases(t)
	groups := map[string]bool{}
	for c := range cases {
		group, _, _ := strings.Cut(c, "/")
		groups[group] = true
	}
	rows := 0
	for line := range strings.Lines(readText(t, checklistPage)) {
		if !regexp.MustCompile(`^\| \d+ \|`).MatchString(line) {
			continue
		}
		rows++
		cells := strings.Split(line, "|")
		held := cells[3]
		named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`).FindAllString(held, -1)
		for _, name := range named {
			if !tests[name] {
				t.Errorf("row%s: there is no test %s", cells[1], name)
			}
		}
		spans := codeSpan.FindAllStringSubmatch(held, -1)
		for _, m := range spans {
			if script, ok := strings.CutPrefix(m[1], "scripts/"); ok {
				_ = readText(t, scripts+script)
			} else if group, _, _ := strings.Cut(m[1], "/"); groups[group] && strings.Contains(m[1], "/") && !cases[m[1]] {
				t.Errorf("row%s: there is no case %s", cells[1], m[1])
			}
		}
		if len(named)+len(spans) == 0 {
			t.Errorf("row%s: nothing holds it", cells[1])
		}
	}
	if rows != 60 {
		t.Errorf("the checklist has %d rows", rows)
	}
}

// The check finds what is not there.
func TestMissing(t *testing.T) {
	tree, cases := testTree{}, map[string]bool{"kill/tree": true}
	for name, ok := range map[string]bool{
		"pkg.TestMissing":                          true,
		"pkg.TestMissing/pkg.TestMissing":          true,
		"pkg.TestMissing/the … of … is not there":  false,
		"pkg.TestFloors/words":                     false,
		"pkg.TestNobodyWrote":                      false,
		"pkg/nowhere.TestMissing":                  false,
		"conformance kill/tree":                    true,
		"conformance kill/forest":                  false,
		"pkg/partition/testdata/kill":              true,
		"pkg/partition/testdata/kill: # Kill ends": true,
		"pkg/partition/testdata/kill: # Nonsense":  false,
		"pkg/partition/testdata/nothing":           false,
		"TestMissing":                              false,
	} {
		if why := missing(t, tree, cases, name); (why == "") != ok {
			t.Errorf("%s: %q", name, why)
		}
	}
}

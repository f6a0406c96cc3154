package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is the path of the module whose packages are checked.
const module = "reprise"

// pkg is one package of the module, parsed and typed.
type pkg struct {
	path  string // import path below the module: "pkg/lsn"
	name  string
	fset  *token.FileSet
	files []*ast.File // hand-written, without tests
	tests []*ast.File // parsed only
	types *types.Package
	info  *types.Info
	err   error // it does not compile; the rest may be missing
}

// listed is what `go list -json` tells of a package.
type listed struct {
	Dir, ImportPath, Name, Export string
	Standard, DepOnly             bool
	GoFiles, CgoFiles             []string
	TestGoFiles, XTestGoFiles     []string
	Error                         *struct{ Err string }
}

// load lists the packages that match and types their files from source, all that they import from
// what the compiler wrote into the build cache.
func load(patterns []string) ([]*pkg, error) {
	args := append([]string{"list", "-e", "-export", "-deps",
		"-json=Dir,ImportPath,Name,Export,Standard,DepOnly,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Error"}, patterns...)
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	var own []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("output of go list: %w", err)
		}
		exports[l.ImportPath] = l.Export
		if !l.DepOnly && !l.Standard {
			own = append(own, l)
		}
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("%s does not compile", path)
		}
		return os.Open(exports[path])
	})
	var packages []*pkg
	for _, l := range own {
		p, err := read(fset, imports, l)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func read(fset *token.FileSet, imports types.Importer, l listed) (*pkg, error) {
	p := &pkg{path: strings.TrimPrefix(l.ImportPath, module+"/"), name: l.Name, fset: fset}
	var all []*ast.File
	for _, name := range append(l.GoFiles, l.CgoFiles...) {
		f, err := parse(fset, l.Dir, name)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
		if !ast.IsGenerated(f) {
			p.files = append(p.files, f)
		}
	}
	for _, name := range append(l.TestGoFiles, l.XTestGoFiles...) {
		f, err := parse(fset, l.Dir, name)
		if err != nil {
			return nil, err
		}
		p.tests = append(p.tests, f)
	}
	p.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	if len(all) == 0 {
		return p, nil
	}
	conf := types.Config{Importer: imports, FakeImportC: true}
	p.types, p.err = conf.Check(l.ImportPath, fset, all, p.info)
	return p, nil
}

// parse reads a file under the name that it has relative to the working folder.
func parse(fset *token.FileSet, dir, name string) (*ast.File, error) {
	path := filepath.Join(dir, name)
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
			path = rel
		}
	}
	return parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
}

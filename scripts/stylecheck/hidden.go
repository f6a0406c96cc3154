package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// clockFuncs are the functions of package time that read the clock or wait for it.
var clockFuncs = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"Tick": true, "NewTimer": true, "NewTicker": true,
}

// sourced are the functions of math/rand and math/rand/v2 that take their source as an argument.
var sourced = map[string]bool{"New": true, "NewSource": true, "NewPCG": true, "NewChaCha8": true, "NewZipf": true}

// used is the package-level function or variable that an identifier means, as package path and name.
func (p *pass) used(n ast.Node) (path, name string, at token.Pos) {
	ident, ok := n.(*ast.Ident)
	if !ok {
		return "", "", 0
	}
	obj := p.info.Uses[ident]
	if obj == nil || obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() {
		return "", "", 0
	}
	return obj.Pkg().Path(), obj.Name(), ident.Pos()
}

func goroutines(p *pass) {
	if p.path == "pkg/lifecycle" {
		return
	}
	p.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.GoStmt:
			p.report(n.Pos(), "use lifecycle.Group, which owns the goroutine")
		case *ast.ImportSpec:
			if n.Path.Value == `"golang.org/x/sync/errgroup"` {
				p.report(n.Pos(), "use lifecycle.Group in place of errgroup")
			}
		case *ast.SelectorExpr:
			if s := p.info.Selections[n]; s != nil && s.Obj().Name() == "Go" && s.Obj().Pkg() != nil && s.Obj().Pkg().Path() == "sync" {
				p.report(n.Sel.Pos(), "use lifecycle.Group in place of sync.WaitGroup.Go")
			}
		}
	})
}

func clocks(p *pass) {
	if p.path == "pkg/host" || p.isMain() {
		return
	}
	p.inspect(func(n ast.Node) {
		if path, name, at := p.used(n); path == "time" && clockFuncs[name] {
			p.report(at, "time.%s: take a host.Clock", name)
		}
	})
}

func randoms(p *pass) {
	if p.path == "pkg/host" || p.isMain() {
		return
	}
	p.inspect(func(n ast.Node) {
		path, name, at := p.used(n)
		if path == "crypto/rand" || strings.HasPrefix(path, "math/rand") && isFunc(p.info, n) && !sourced[name] {
			p.report(at, "%s.%s: take a host.Rand", path, name)
		}
	})
}

func isFunc(info *types.Info, n ast.Node) bool {
	_, ok := info.Uses[n.(*ast.Ident)].(*types.Func)
	return ok
}

func inits(p *pass) {
	for _, f := range p.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				p.report(fn.Pos(), "build it in a constructor")
			}
		}
	}
}

// variables finds package variables of ours that are assigned, that lend their address, or whose
// methods may change them.
func variables(p *pass) {
	written := p.writtenTypes()
	report := func(e ast.Expr, how string) {
		if v := p.packageVariable(e); v != nil {
			p.report(e.Pos(), "package variable %s %s", v.Name(), how)
		}
	}
	p.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				report(l, "is assigned")
			}
		case *ast.IncDecStmt:
			report(n.X, "is assigned")
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				report(n.Key, "is assigned")
				report(n.Value, "is assigned")
			}
		case *ast.SendStmt:
			report(n.Chan, "is a channel in use")
		case *ast.UnaryExpr:
			switch n.Op {
			case token.AND:
				if !p.frozen(written, n.X) {
					report(n.X, "lends its address")
				}
			case token.ARROW:
				report(n.X, "is a channel in use")
			}
		case *ast.CallExpr:
			if b, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 {
				if _, builtin := p.info.Uses[b].(*types.Builtin); builtin && (b.Name == "delete" || b.Name == "clear" || b.Name == "close" || b.Name == "copy") {
					report(n.Args[0], "is changed by "+b.Name)
				}
			}
		case *ast.SelectorExpr:
			s := p.info.Selections[n]
			if s == nil || s.Kind() != types.MethodVal {
				return
			}
			_, takesPointer := s.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
			if _, isPointer := s.Recv().(*types.Pointer); takesPointer && !isPointer && !p.frozen(written, n.X) {
				report(n.X, "may be changed by "+n.Sel.Name)
			}
		}
	})
}

// frozen tells whether the value of e cannot be changed through its address: it is a table, never
// written again.
func (p *pass) frozen(written map[*types.TypeName]bool, e ast.Expr) bool {
	return p.isTable(written, p.info.TypeOf(e))
}

// isTable tells whether t is a struct or array type of this package that no statement here assigns to
// in part, and that holds nothing but values and other tables.
func (p *pass) isTable(written map[*types.TypeName]bool, t types.Type) bool {
	named, ok := t.(*types.Named)
	if !ok || named.Obj().Pkg() != p.types || written[named.Obj()] {
		return false
	}
	part := func(t types.Type) bool {
		switch t.Underlying().(type) {
		case *types.Struct, *types.Array:
			return p.isTable(written, t)
		case *types.Chan:
			return false
		}
		return true
	}
	switch u := named.Underlying().(type) {
	case *types.Array:
		return part(u.Elem())
	case *types.Struct:
		for field := range u.Fields() {
			if !part(field.Type()) {
				return false
			}
		}
		return true
	}
	return false
}

// writtenTypes are the named types of which a part, or a whole value behind a pointer, is assigned
// somewhere in the package, or which lend the address of a part that is no struct or array.
func (p *pass) writtenTypes() map[*types.TypeName]bool {
	written := map[*types.TypeName]bool{}
	mark := func(t types.Type) {
		if ptr, ok := t.(*types.Pointer); ok {
			t = ptr.Elem()
		}
		if named, ok := t.(*types.Named); ok {
			written[named.Obj()] = true
		}
	}
	write := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.ParenExpr:
				e = x.X
			case *ast.IndexExpr:
				mark(p.info.TypeOf(x.X))
				e = x.X
			case *ast.StarExpr:
				mark(p.info.TypeOf(x.X))
				return
			case *ast.SelectorExpr:
				if s := p.info.Selections[x]; s != nil && s.Kind() == types.FieldVal {
					mark(s.Recv())
				}
				e = x.X
			default:
				return
			}
		}
	}
	p.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				write(l)
			}
		case *ast.IncDecStmt:
			write(n.X)
		case *ast.UnaryExpr:
			if n.Op != token.AND {
				return
			}
			switch p.info.TypeOf(n.X).Underlying().(type) {
			case *types.Struct, *types.Array: // what is done to it marks its own type
			default:
				write(n.X)
			}
		}
	})
	return written
}

// packageVariable is the variable of this package that an expression stores into or reads from, if any.
func (p *pass) packageVariable(e ast.Expr) *types.Var {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			if v, ok := p.info.Uses[x.Sel].(*types.Var); ok && !v.IsField() {
				return nil // of another package
			}
			e = x.X
		case *ast.Ident:
			v, ok := p.info.Uses[x].(*types.Var)
			if !ok || v.Pkg() != p.types || v.Parent() != p.types.Scope() {
				return nil
			}
			return v
		default:
			return nil
		}
	}
}

// sleeps finds time.Sleep in tests, where it is wrong but inside a synctest bubble.
func sleeps(p *pass) {
	for _, f := range p.tests {
		bubble := false
		for _, i := range f.Imports {
			bubble = bubble || i.Path.Value == `"testing/synctest"`
		}
		if bubble {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					p.report(s.Pos(), "wait for an event, advance a fake clock, or use testing/synctest")
				}
			}
			return true
		})
	}
}

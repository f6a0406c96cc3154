package main

import (
	"go/ast"
	"go/constant"
	"go/types"
	"unicode"
	"unicode/utf8"
)

const logkeyPath = module + "/pkg/logkey"

// messageAt is the place of the message among the arguments of a logging function or method of
// log/slog; what follows are attributes. With and Group have attributes alone.
var messageAt = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0,
	"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
	"Log": 2, "LogAttrs": 2, "With": -1,
}

// attrFuncs make one attribute; their first argument is its key.
var attrFuncs = map[string]bool{
	"String": true, "Int": true, "Int64": true, "Uint64": true, "Float64": true, "Bool": true, "Time": true,
	"Duration": true, "Any": true, "Group": true,
}

func logKeys(p *pass) {
	if p.path == "pkg/logkey" {
		return
	}
	p.inspect(func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		fn := p.slogFunc(call)
		if fn == nil {
			return
		}
		at, logs := messageAt[fn.Name()]
		switch {
		case logs && isLogger(fn):
			if at >= 0 && at < len(call.Args) {
				p.message(call.Args[at])
			}
			if call.Ellipsis == 0 && at+1 < len(call.Args) {
				p.attributes(call.Args[at+1:])
			}
		case fn.Signature().Recv() == nil && attrFuncs[fn.Name()]:
			p.key(call.Args[0])
			if fn.Name() == "Group" && call.Ellipsis == 0 {
				p.attributes(call.Args[1:])
			}
		}
	})
}

func (p *pass) slogFunc(call *ast.CallExpr) *types.Func {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	fn, ok := p.info.Uses[sel.Sel].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != "log/slog" {
		return nil
	}
	return fn
}

// isLogger tells the methods of Logger and the functions of the same names from others, as of Handler.
func isLogger(fn *types.Func) bool {
	recv := fn.Signature().Recv()
	if recv == nil {
		return true
	}
	ptr, ok := recv.Type().(*types.Pointer)
	if !ok {
		return false
	}
	named, ok := ptr.Elem().(*types.Named)
	return ok && named.Obj().Name() == "Logger"
}

func (p *pass) message(e ast.Expr) {
	v := p.info.Types[e].Value
	if v == nil || v.Kind() != constant.String {
		p.report(e.Pos(), "a log message is a constant; data goes into attributes")
		return
	}
	first, _ := utf8.DecodeRuneInString(constant.StringVal(v))
	if unicode.IsUpper(first) {
		p.report(e.Pos(), "a log message begins with a lower-case letter")
	}
}

func (p *pass) attributes(args []ast.Expr) {
	for i := 0; i < len(args); i++ {
		if basic, ok := p.info.TypeOf(args[i]).Underlying().(*types.Basic); !ok || basic.Info()&types.IsString == 0 {
			continue // a slog.Attr, whose constructor is checked
		}
		p.key(args[i])
		i++ // its value
	}
}

func (p *pass) key(e ast.Expr) {
	var ident *ast.Ident
	switch x := e.(type) {
	case *ast.SelectorExpr:
		ident = x.Sel
	case *ast.Ident:
		ident = x
	}
	if ident != nil {
		if c, ok := p.info.Uses[ident].(*types.Const); ok && c.Pkg() != nil && c.Pkg().Path() == logkeyPath {
			return
		}
	}
	p.report(e.Pos(), "an attribute key is a constant of pkg/logkey")
}

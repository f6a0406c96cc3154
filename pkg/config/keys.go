package config

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"sync"
)

// setting is one leaf of a tree of settings.
type setting struct {
	key          string // dotted
	tag          reflect.StructTag
	value        reflect.Value
	live, secret bool
	table        string // the type that has the field
	field        string
}

// settings lists the leaves of a tree in the order of the dump, with those of embedded structs.
func settings(c *Config) []setting {
	return appendSettings(nil, "", setting{value: reflect.ValueOf(c).Elem()})
}

func appendSettings(out []setting, prefix string, table setting) []setting {
	for f, value := range table.value.Fields() {
		s := setting{
			key: prefix + f.Tag.Get("toml"), tag: f.Tag, value: value, table: table.value.Type().Name(), field: f.Name,
			live: table.live || f.Tag.Get("live") != "", secret: table.secret || f.Tag.Get("secret") != "",
		}
		_, plain := value.Interface().(getter)
		switch {
		case f.Anonymous:
			out = appendSettings(out, prefix, s)
		case value.Kind() == reflect.Struct && !plain:
			out = appendSettings(out, s.key+".", s)
		default:
			out = append(out, s)
		}
	}
	return out
}

// text is the value as TOML has it, masked if it is secret; "" if there is none.
func (s setting) text() string {
	text, ok := literal(s.value, s.secret)
	if !ok {
		return ""
	}
	return text
}

// Key describes a setting.
type Key struct {
	Name    string // dotted
	Type    string // what a value looks like
	Default string // as TOML; "" if there is none
	Else    string // what an absent value stands for
	Meaning string
	Inert   string // why it has no effect; "" if it has one
	Enum    []string
	Min     string
	Max     string
	Live    bool // may change while a process runs
	Secret  bool
	Ours    bool // not a key of the contract
}

// Env is the name of its environment variable.
func (k Key) Env() string { return envName(k.Name) }

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "__").Replace(key))
}

// Keys describes all settings, in the order of the dump.
func Keys() ([]Key, error) {
	meanings, err := comments()
	if err != nil {
		return nil, err
	}
	defaults := Default()
	var out []Key
	for _, s := range settings(&defaults) {
		k := Key{
			Name: s.key, Type: typeName(s.value.Type()), Default: s.text(), Else: s.tag.Get("else"), Meaning: meanings[s.table+"."+s.field],
			Inert: whyInert(s.key), Min: s.tag.Get("min"), Max: s.tag.Get("max"), Live: s.live, Secret: s.secret, Ours: s.tag.Get("ours") != "",
		}
		if text := s.tag.Get("enum"); text != "" {
			k.Enum = strings.Split(text, ",")
		}
		if k.Else != "" && s.value.IsZero() {
			k.Default = ""
		}
		out = append(out, k)
	}
	return out, nil
}

// typeName is what a value looks like, in a word or two.
func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch reflect.Zero(t).Interface().(type) {
	case Duration:
		return "duration"
	case DurationRange:
		return "range of durations"
	case Bytes:
		return "size"
	case Limit:
		return "number or unlimited"
	case Replication:
		return "replication"
	case Rate:
		return "rate"
	case Filter:
		return "filter"
	case float64:
		return "number"
	case bool:
		return "true or false"
	case string:
		return "text"
	case []string:
		return "list of texts"
	case map[string]string:
		return "table of texts"
	default:
		return "whole number"
	}
}

// source is where meanings stand.
//
//go:embed tree.go tree_worker.go
var source embed.FS

// comments are those of all types, by name, and of their fields, by Type.Field.
var comments = sync.OnceValues(func() (map[string]string, error) {
	out := map[string]string{}
	for _, name := range []string{"tree.go", "tree_worker.go"} {
		text, err := source.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("meaning of settings: %w", err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				t, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				out[t.Name.Name] = oneLine(g.Doc.Text())
				collect(out, t)
			}
		}
	}
	return out, nil
})

// collect adds the comments of a type's fields.
func collect(out map[string]string, t *ast.TypeSpec) {
	s, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		for _, n := range f.Names {
			out[t.Name.Name+"."+n.Name] = oneLine(f.Comment.Text())
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Package pkg_test holds the floors of the house: which package may import which.
package pkg_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floor is a storey of the house. Imports point down.
type floor int

const (
	words floor = iota + 1
	rules
	ground
	engines
	edge
)

func (f floor) String() string {
	return [...]string{"nowhere", "words", "rules", "ground", "engines", "edge"}[f]
}

// floors says where each package of pkg/ lives; what is below it (fakes, as in metastore/metatest)
// lives with it. A new package is put here first.
var floors = map[string]floor{
	"errs": words, "id": words, "invariant": words, "keyenc": words, "logkey": words, "lsn": words,

	"command": rules, "invocation": rules, "journal": rules, "partition": rules, "placement": rules,
	"logproto": rules, "queue": rules, "quorum": rules, "retry": rules, "schema": rules, "serviceproto": rules,

	"access": ground, "certs": ground, "config": ground, "dial": ground, "guest": ground, "host": ground, "identity": ground, "lambda": ground, "lifecycle": ground, "logstore": ground, "memory": ground,
	"metastore": ground, "partitionstore": ground, "snapshot": ground, "span": ground,

	"admin": engines, "controller": engines, "ingress": engines, "invoker": engines, "kafka": engines,
	"loglet": engines, "logserver": engines, "membership": engines, "processor": engines, "query": engines,
	"registry": engines, "sequencer": engines, "shuffle": engines, "timer": engines,

	"rpc": edge, "sim": edge, "telemetry": edge,
}

// sideways are the imports within one floor, with the reason for each. Engines should have none: they
// declare small interfaces, and the wiring joins them.
var sideways = map[string]string{
	"invocation -> journal":     "an invocation owns its journal's index",
	"logproto -> command":       "the protocol carries records and must find where one ends",
	"logproto -> quorum":        "a sequence is committed when a write quorum holds it",
	"partition -> queue":        "who may run and who waits is part of the state",
	"partition -> command":      "Apply folds commands",
	"partition -> invocation":   "the rows that Apply changes",
	"partition -> journal":      "the rows that Apply appends",
	"partition -> serviceproto": "Apply reads the frames that are the body of a command",
	"serviceproto -> journal":   "an await is decided by what a journal holds",
	"placement -> quorum":       "replicas are spread over locations by the same property as records",
	"schema -> retry":           "a handler's options hold its retry policy",
	"schema -> serviceproto":    "a deployment is checked against the protocol versions that are spoken",

	"processor -> invoker": "each loop owns an invoker and calls it for every command; an interface would only hide that they are one step",
	"admin -> registry":    "admin is the REST face of the registry and adds nothing to it",

	"metastore -> host":      "the real thing and the fake take the clock from there",
	"metastore -> lifecycle": "a View is a living part",
	"memory -> host":         "when it is time, and metrics",
	"memory -> lifecycle":    "who flushes runs beside who looks",
	"access -> host":         "files are looked at now and then, and what is wrong is logged",
	"access -> lifecycle":    "who follows a file is a living part",
	"certs -> host":          "certificates end at a time, and what is wrong is logged",
	"certs -> lifecycle":     "who follows files is a living part",
	"host -> span":           "the recorder of spans is lent like the registry of metrics",
	"metastore -> guest":     "etcd's server would wait for those who watch",
	"identity -> host":       "a token holds the time",
	"logstore -> host":       "files and metrics are lent by the process",
	"partitionstore -> host": "files and metrics are lent by the process",
	"snapshot -> host":       "files, the clock and random bytes are lent by the process",
	"snapshot -> lifecycle":  "several files are on their way at a time",
	"snapshot -> span":       "what takes long is part of the operation that asked for it",
}

// banned are imports that a floor and all below it must not have, with what to do instead.
var banned = []struct {
	upTo   floor
	prefix string
	why    string
}{
	{engines, "google.golang.org/grpc", "wire types stay in rpc, which translates"},
	{engines, "go.opentelemetry.io/otel/exporters", "exporters belong to telemetry"},
	{rules, "github.com/cockroachdb/pebble", "rules read through an interface; stores are ground"},
	{rules, "go.etcd.io/etcd", "metadata access is metastore's"},
	{rules, "github.com/prometheus", "rules are not measured, their engines are"},
	{rules, "log", "rules do not log, their engines do"},
	{rules, "sync", "rules are called by one goroutine"},
	{rules, "context", "rules do not block"},
	{rules, "os", "rules do no I/O"},
	{rules, "net", "rules do no I/O"},
	{rules, "io/fs", "rules do no I/O"},
	{rules, "math/rand", "random values come inside commands"},
	{rules, "crypto/rand", "random values come inside commands"},
	{edge, "github.com/urfave/cli", "flags are read under services alone; a package has a Config"},
	{edge, "reprise/services", "services import packages, never the other way"},
	{edge, "reprise/tests", "tests stand outside"},
}

// pure are packages below a banned prefix that do no I/O.
var pure = []string{"net/url", "net/netip", "net/textproto", "net/http/internal/ascii"}

// wordsMay lists what words import besides the standard library.
var wordsMay = map[string]string{
	"github.com/zeebo/xxh3": "the hash that makes partition keys is part of an id",
}

// exceptions are files that may import what is banned on their floor, with the reason.
var exceptions = map[string]string{
	"logproto/port.go -> context":                                      "the interface between the rules' engines, which do block",
	"guest/book.go -> google.golang.org/grpc":                          "it is about gRPC servers, of ours and of etcd",
	"guest/book.go -> google.golang.org/grpc/codes":                    "what a guest is told is a gRPC status",
	"guest/book.go -> google.golang.org/grpc/status":                   "what a guest is told is a gRPC status",
	"metastore/doors.go -> google.golang.org/grpc":                     "with TLS etcd's own gRPC server is served at a listener of ours",
	"metastore/doors.go -> google.golang.org/grpc/keepalive":           "with TLS etcd's own gRPC server is served at a listener of ours",
	"metastore/etcd.go -> google.golang.org/grpc":                      "etcd's client takes a dialer as an option of gRPC",
	"metastore/etcd.go -> google.golang.org/grpc/credentials/insecure": "TLS is in the dialer that etcd's client is given, which gRPC is not to add to",
	"metastore/embed.go -> google.golang.org/grpc":                     "etcd's own gRPC server counts its requests through an interceptor",
	"metastore/etcdmetrics.go -> google.golang.org/grpc":               "etcd's own gRPC server counts its requests through an interceptor",
	"metastore/etcd.go -> google.golang.org/grpc/codes":                "errors of etcd's client are gRPC statuses",
	"metastore/etcd.go -> google.golang.org/grpc/status":               "errors of etcd's client are gRPC statuses",
}

type file struct {
	path    string // of the file, below pkg/
	pkg     string // first element: the package that counts for the floors
	fake    bool   // in a package that ships a fake, such as metastore/metatest
	imports []string
}

// read parses the imports of all hand-written files below root that are not tests.
func read(t *testing.T, root string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == root {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := strings.Split(filepath.ToSlash(rel), "/")[0]
		x := file{path: path, pkg: name, fake: strings.HasSuffix(filepath.Base(filepath.Dir(path)), "test")}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			x.imports = append(x.imports, p)
		}
		files = append(files, x)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// faults lists what breaks the floors, each with what to do about it.
func faults(files []file) []string {
	var out []string
	for _, f := range files {
		at, ok := floors[f.pkg]
		if !ok {
			out = append(out, fmt.Sprintf("pkg/%s is on no floor: add it to floors in pkg/arch_test.go", f.pkg))
			continue
		}
		for _, i := range f.imports {
			if why := fault(f, at, i); why != "" {
				out = append(out, fmt.Sprintf("%s (%s) imports %s: %s", f.path, at, i, why))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func fault(f file, at floor, imported string) string {
	for _, b := range banned {
		if at <= b.upTo && within(imported, b.prefix) && !slices.Contains(pure, imported) && !f.fake && exceptions[f.path+" -> "+imported] == "" {
			return b.why
		}
	}
	if !within(imported, "reprise") {
		first, _, _ := strings.Cut(imported, "/")
		if at == words && strings.Contains(first, ".") && wordsMay[imported] == "" && !f.fake {
			return "words stand on the standard library alone; see wordsMay in pkg/arch_test.go"
		}
		return ""
	}
	below, ok := strings.CutPrefix(imported, "reprise/pkg/")
	if !ok {
		if at == words || at == rules && !within(imported, "reprise/api/stored") && !within(imported, "reprise/api/service") {
			return "messages between processes are not for this floor"
		}
		return ""
	}
	target, rest, _ := strings.Cut(below, "/")
	to, ok := floors[target]
	switch {
	case !ok:
		return "it is on no floor: add it to floors in pkg/arch_test.go"
	case target == f.pkg || to < at:
	case f.fake:
		return "" // a fake may use what its users' tests use
	case to > at:
		return fmt.Sprintf("that is above, on the floor of %s: declare an interface here", to)
	case sideways[f.pkg+" -> "+target] == "":
		return "a neighbour: declare an interface here, or give the reason in sideways in pkg/arch_test.go"
	}
	if strings.HasSuffix(rest, "test") && !f.fake {
		return "a fake is for tests"
	}
	return ""
}

// within tells whether an import path is prefix or lies below it.
func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range faults(read(t, ".")) {
		t.Error(f)
	}
}

// Every excuse is used: one that is not would hide the next mistake.
func TestSidewaysImportsExist(t *testing.T) {
	used := map[string]bool{}
	for _, f := range read(t, ".") {
		for _, i := range f.imports {
			if below, ok := strings.CutPrefix(i, "reprise/pkg/"); ok {
				target, _, _ := strings.Cut(below, "/")
				used[f.pkg+" -> "+target] = true
			}
		}
	}
	for pair, reason := range sideways {
		from, to, _ := strings.Cut(pair, " -> ")
		if !used[pair] {
			t.Errorf("nothing imports %s any more (%s): take it out of sideways", pair, reason)
		}
		if floors[from] != floors[to] {
			t.Errorf("%s is not sideways: %s is below", pair, to)
		}
	}
}

// What the floors forbid is found, or the tests above could never fail.
func TestFaultsAreFound(t *testing.T) {
	for _, row := range []struct {
		file
		want string // part of the fault; empty if there is none
	}{
		{file{pkg: "lsn", imports: []string{"fmt"}}, ""},
		{file{pkg: "lsn", imports: []string{"github.com/some/thing"}}, "standard library"},
		{file{pkg: "quorum", imports: []string{"reprise/pkg/lsn", "reprise/api/stored/v1", "time"}}, ""},
		{file{pkg: "quorum", imports: []string{"reprise/api/worker/v1"}}, "messages between"},
		{file{pkg: "quorum", imports: []string{"log/slog"}}, "do not log"},
		{file{pkg: "quorum", imports: []string{"net/url"}}, ""},
		{file{pkg: "quorum", imports: []string{"net/http"}}, "no I/O"},
		{file{pkg: "quorum", imports: []string{"reprise/pkg/metastore"}}, "above"},
		{file{pkg: "ingress", imports: []string{"reprise/pkg/invoker"}}, "a neighbour"},
		{file{pkg: "ingress", imports: []string{"google.golang.org/grpc/codes"}}, "rpc"},
		{file{pkg: "ingress", imports: []string{"reprise/pkg/host/hosttest"}}, "for tests"},
		{file{pkg: "ingress", fake: true, imports: []string{"reprise/pkg/host/hosttest"}}, ""},
		{file{pkg: "rpc", imports: []string{"google.golang.org/grpc", "reprise/pkg/ingress"}}, ""},
		{file{pkg: "rpc", imports: []string{"reprise/services/worker/wire"}}, "never the other way"},
		{file{pkg: "newcomer", imports: nil}, "no floor"},
	} {
		got := strings.Join(faults([]file{row.file}), "\n")
		if row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("%s with %v: fault %q, want %q", row.pkg, row.imports, got, row.want)
		}
	}
}

// The two places that say what exists agree: no floor holds a package that is neither built nor planned.
func TestFloorsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range floors {
		if _, err := os.Stat(name); err != nil {
			continue // its issue has not come yet
		}
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/architecture.md does not mention `%s`", name)
		}
	}
}

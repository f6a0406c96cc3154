package command_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"

	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
	"reprise/services/reprisectl/command"
)

// answers is an admin daemon that knows a few statements.
type answers map[string]func(send func([]byte) error) (warnings []string, err error)

// Cluster implements rpc.ClusterSQL.
func (a answers) Cluster(_ context.Context, sql string, send func(piece []byte) error) ([]string, error) {
	return a[sql](send)
}

// nodes is an Arrow stream of two batches with three nodes.
func nodes(t *testing.T) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "name", Type: arrow.BinaryTypes.LargeString, Nullable: true}, {Name: "generation", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
	}, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, names := range [][]string{{"n1", "a \"b\""}, {""}} {
		for i, name := range names {
			b.Field(0).(*array.LargeStringBuilder).Append(name)
			if i == 0 {
				b.Field(1).(*array.Uint64Builder).Append(1 << 63)
			} else {
				b.Field(1).AppendNull()
			}
		}
		record := b.NewRecordBatch()
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
		record.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// serve starts a fabric port that answers SQL, and returns its address.
func serve(t *testing.T, sql rpc.ClusterSQL) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(rpc.FabricServerOptions()...)
	rpc.NewQueryServer(sql).Register(g)
	group := lifecycle.NewGroup(context.Background())
	group.Go("fabric", func(context.Context) error { return g.Serve(ln) })
	t.Cleanup(func() {
		g.Stop()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func TestSQL(t *testing.T) {
	stream := nodes(t)
	pieces := func(send func([]byte) error) error { // each borrowed, as the engine lends them
		var lent [7]byte
		for rest := stream; len(rest) > 0; {
			n := copy(lent[:], rest)
			if err := send(lent[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}
	at := serve(t, answers{
		"whole":   func(send func([]byte) error) ([]string, error) { return nil, pieces(send) },
		"partial": func(send func([]byte) error) ([]string, error) { return []string{"config: N2 is silent"}, pieces(send) },
		"wrong": func(func([]byte) error) ([]string, error) {
			return nil, errs.Newf(errs.Invalid, "No field named x")
		},
		"cut": func(send func([]byte) error) ([]string, error) {
			if err := send(stream[:len(stream)/2]); err != nil {
				return nil, err
			}
			return nil, errs.Newf(errs.Unavailable, "the worker is gone")
		},
	})
	none := serve(t, nil)
	const array = `[{"name":"n1","generation":9223372036854775808},{"name":"a \"b\""},{"name":"","generation":9223372036854775808}]` + "\n"
	for _, row := range []struct {
		args     []string
		code     int
		out, err string // err is a part of what is printed
	}{
		{[]string{"sql", "-s", at, "whole"}, 0, "name      generation            \nn1        9223372036854775808   \na \\\"b\\\"                         \n          9223372036854775808   \n", "3 rows\n"},
		{[]string{"sql", "--address", "http://" + at + "/", "--json", "whole"}, 0, array, ""},
		{[]string{"sql", "-s", at, "--jsonl", "whole"}, 0, strings.NewReplacer("[", "", "]", "", "},", "}\n").Replace(array), ""},
		{[]string{"sql", "-s", at, "--json", "partial"}, 0, array, "WARNING (partial results) config: N2 is silent\n"},
		{[]string{"sql", "-s", at, "--json", "wrong"}, 1, "", at + ": No field named x"},
		{[]string{"sql", "-s", at, "--json", "cut"}, 1, "", at + ": the worker is gone"},
		{[]string{"sql", "-s", none, "whole"}, 1, "", "built without SQL"},
		{[]string{"sql", "-s", at}, 2, "", "<QUERY>"},
		{[]string{"sql", "-s", "bad\x00address", "whole"}, 2, "", "--address"},
	} {
		var out, errOut strings.Builder
		code := command.Run(t.Context(), row.args, command.Env{Out: &out, Err: &errOut})
		if code != row.code || out.String() != row.out || !strings.Contains(errOut.String(), row.err) || row.err == "" && errOut.String() != "" {
			t.Errorf("%q: exit %d, out %q, err %q", row.args, code, out.String(), errOut.String())
		}
	}
}

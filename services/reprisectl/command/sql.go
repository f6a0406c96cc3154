package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/urfave/cli/v2"
	"google.golang.org/grpc/status"

	workerv1 "reprise/api/worker/v1"
	"reprise/pkg/query/render"
	"reprise/services/internal/argv"
)

func sqlCommand(env Env) *cli.Command {
	return &cli.Command{
		Name: "sql", Usage: "ask an admin daemon about nodes, partitions and logs in SQL", ArgsUsage: "QUERY", OnUsageError: argv.OnUsage, HideHelpCommand: true,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print one JSON array of rows"},
			&cli.BoolFlag{Name: "jsonl", Usage: "print each row as a JSON object on its line"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return argv.Usagef("the following required arguments were not provided: <QUERY>")
			}
			return sqlAction(c, env)
		},
	}
}

// sqlAction prints the rows on standard output, and what is not rows on standard error.
func sqlAction(c *cli.Context, env Env) error {
	ctx, cancel := context.WithTimeout(c.Context, time.Duration(c.Int64("request-timeout"))*time.Millisecond)
	defer cancel()
	address := firstAddress(c)
	conn, err := dial(c, address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // all was received
	stream, err := workerv1.NewClusterQueryClient(conn).Query(ctx, &workerv1.QueryRequest{Query: c.Args().First()})
	if err != nil {
		return explained(address, err)
	}
	in := &pieces{stream: stream}
	rows, err := ipc.NewReader(in)
	if err != nil {
		return explained(address, errors.Join(in.failed, err))
	}
	defer rows.Release()
	printed, err := printRows(rows, c.Bool("json"), c.Bool("jsonl"), env.Out)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // warnings are last
	}
	if err != nil {
		return explained(address, err)
	}
	for _, w := range in.warnings {
		if _, err := fmt.Fprintf(env.Err, "WARNING (partial results) %s\n", w); err != nil {
			return err
		}
	}
	if c.Bool("json") || c.Bool("jsonl") {
		return nil
	}
	_, err = fmt.Fprintf(env.Err, "%d rows\n", printed)
	return err
}

// explained is an error of the daemon, without what gRPC adds to it.
func explained(address string, err error) error {
	var remote interface{ GRPCStatus() *status.Status }
	if errors.As(err, &remote) {
		return fmt.Errorf("%s: %s", address, remote.GRPCStatus().Message())
	}
	return fmt.Errorf("%s: %w", address, err)
}

// pieces reads the Arrow stream that comes in pieces.
type pieces struct {
	stream   workerv1.ClusterQuery_QueryClient
	rest     []byte
	warnings []string
	failed   error // why there is no more
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		m, err := p.stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			p.failed = err
			return 0, err
		}
		p.rest = m.Encoded
		for _, w := range m.Warnings {
			p.warnings = append(p.warnings, strings.TrimSpace(w.NodeId+" "+w.Message))
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// printRows prints rows as a table or as JSON, and returns how many there were.
func printRows(rows *ipc.Reader, asArray, asLines bool, out io.Writer) (printed int, err error) {
	fields := rows.Schema().Fields()
	tab := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	var b []byte
	switch {
	case asArray:
		b = append(b, '[')
	case !asLines:
		for _, f := range fields {
			b = append(append(b, f.Name...), '\t')
		}
		b = append(b, '\n')
	}
	write := io.Writer(tab)
	if asArray || asLines {
		write = out
	}
	for rows.Next() {
		batch := rows.RecordBatch()
		for i := range int(batch.NumRows()) {
			switch {
			case asArray && printed > 0:
				b = append(b, ',')
			case asArray, asLines:
			}
			if b, err = appendLine(b, fields, batch, i, asArray || asLines); err != nil {
				return printed, err
			}
			if !asArray {
				b = append(b, '\n')
			}
			printed++
		}
		if _, err := write.Write(b); err != nil {
			return printed, err
		}
		b = b[:0]
	}
	if err := rows.Err(); err != nil {
		return printed, err
	}
	if asArray {
		b = append(b, "]\n"...)
	}
	if _, err := write.Write(b); err != nil {
		return printed, err
	}
	return printed, tab.Flush()
}

// appendLine appends a row: an object without what is NULL, or cells with tabs behind them.
func appendLine(b []byte, fields []arrow.Field, batch arrow.RecordBatch, i int, asJSON bool) (_ []byte, err error) {
	if asJSON {
		return render.Row(b, fields, batch, i)
	}
	for j := range fields {
		from := len(b)
		if column := batch.Column(j); !column.IsNull(i) {
			if b, err = render.Value(b, column, i); err != nil {
				return nil, err
			}
			if cell := b[from:]; len(cell) > 1 && cell[0] == '"' { // a text: the quotes are JSON's
				b = append(b[:from], cell[1:len(cell)-1]...)
			}
		}
		b = append(b, '\t')
	}
	return b, nil
}

package command

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
	"reprise/services/internal/jsondoc"
)

func (r *runner) sql() *cli.Command {
	return &cli.Command{
		Name: "sql", Usage: "ask with SQL what runs and what is stored", ArgsUsage: "<QUERY>",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print the rows as a JSON array"},
			&cli.BoolFlag{Name: "jsonl", Usage: "print the rows as JSON, one a line"},
		}, watchFlags()...),
		Action: func(c *cli.Context) error {
			query, err := argument(c, "QUERY")
			if err != nil {
				return err
			}
			if c.Bool("json") && c.Bool("jsonl") {
				return argv.Usagef("the argument '--json' cannot be used with '--jsonl'")
			}
			if err := r.connect(c); err != nil {
				return err
			}
			return r.watch(c, func() error { return r.runSQL(c, query) })
		},
	}
}

// runSQL shows the answer to a statement on the standard output, and how many rows it has on the other.
func (r *runner) runSQL(c *cli.Context, query string) error {
	start := r.env.Clock.Now()
	var out rowPrinter = &rowTable{r: r}
	switch {
	case c.Bool("json"):
		out = &rowJSON{r: r, before: "[", between: ",", after: "]"}
	case c.Bool("jsonl"):
		out = &rowJSON{r: r, between: "\n", after: "\n"}
	}
	rows := int64(0)
	schema, err := r.client.scan(c.Context, query, func(b arrow.RecordBatch) error {
		rows += b.NumRows()
		return out.batch(b)
	})
	if err != nil {
		return err
	}
	out.end(schema)
	r.summary("%d rows. Query took %s", rows, r.env.Clock.Now().Sub(start))
	return nil
}

// summary says at the end what was shown, where programs do not read it.
func (r *runner) summary(format string, args ...any) {
	if !r.quiet {
		_, _ = fmt.Fprintf(r.env.Err, format+"\n", args...)
	}
}

// rowPrinter shows rows.
type rowPrinter interface {
	batch(b arrow.RecordBatch) error
	end(schema *arrow.Schema)
}

// rowTable draws them all at the end, since only then the widths of the columns are known.
type rowTable struct {
	r *runner
	t grid.Table
}

func (p *rowTable) batch(b arrow.RecordBatch) error {
	for i := range int(b.NumRows()) {
		row := make([]string, b.NumCols())
		for n := range row {
			row[n] = visible(cellText(b.Column(n), i))
		}
		p.t.Add(row...)
	}
	return nil
}

func (p *rowTable) end(schema *arrow.Schema) {
	if len(p.t.Rows) == 0 {
		return
	}
	for _, f := range schema.Fields() {
		p.t.Header = append(p.t.Header, strings.ToUpper(f.Name))
	}
	p.r.printf("%s\n", p.t.Draw(p.r.style))
}

// rowJSON prints rows as they arrive. Columns that are null are left out, as the server's own JSON does.
type rowJSON struct {
	r                      *runner
	before, between, after string
	rows                   int
}

func (p *rowJSON) batch(b arrow.RecordBatch) error {
	var line []byte
	for i := range int(b.NumRows()) {
		if p.rows == 0 {
			line = append(line, p.before...)
		} else {
			line = append(line, p.between...)
		}
		p.rows++
		line = append(line, '{')
		first := true
		for n := range int(b.NumCols()) {
			if b.Column(n).IsNull(i) {
				continue
			}
			if !first {
				line = append(line, ',')
			}
			first = false
			line = append(jsondoc.AppendString(line, b.ColumnName(n)), ':')
			line = appendCell(line, b.Column(n), i)
		}
		line = append(line, '}')
	}
	p.r.printf("%s", line)
	return nil
}

func (p *rowJSON) end(*arrow.Schema) {
	switch {
	case p.rows > 0:
		p.r.printf("%s", p.after)
	case p.before != "":
		p.r.printf("%s%s", p.before, p.after)
	}
}

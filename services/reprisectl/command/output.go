package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

// listing is what a command shows: as a table, or as JSON with an object for each row. A cell is a text, a number, a
// list of texts, or nil for what is not known.
type listing struct {
	header []string
	rows   [][]any
}

func (l *listing) add(cells ...any) { l.rows = append(l.rows, cells) }

// roles are written one behind the other.
type roles []string

// cellText is a cell of a table.
func cellText(cell any) string {
	switch v := cell.(type) {
	case nil:
		return "-"
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case roles:
		return strings.Join(v, " | ")
	case bool:
		if v {
			return "YES"
		}
		return "NO"
	default:
		return fmt.Sprint(v)
	}
}

// table draws the listing.
func (l *listing) table(style grid.Style) string {
	t := grid.Table{Header: l.header}
	for _, row := range l.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = cellText(cell)
		}
		t.Add(cells...)
	}
	return t.Draw(style)
}

// objects are the rows for programs: keys are the headers in lower case.
func (l *listing) objects() []map[string]any {
	out := make([]map[string]any, len(l.rows))
	for i, row := range l.rows {
		out[i] = map[string]any{}
		for j, cell := range row {
			if l.header[j] != "" {
				out[i][strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(l.header[j]))] = cell
			}
		}
	}
	return out
}

// show prints a listing below a title.
func (r *runner) show(title string, l *listing) error {
	if r.json {
		return r.printJSON(l.objects())
	}
	r.printf("%s%s", title, l.table(r.style))
	return nil
}

// printf writes to the standard output. A reader that went away is no error of ours.
func (r *runner) printf(format string, args ...any) { _, _ = fmt.Fprintf(r.env.Out, format, args...) }

// changed says what was done, in words, or to programs as an object.
func (r *runner) changed(object map[string]any, format string, args ...any) {
	if r.json {
		r.done = append(r.done, object)
		return
	}
	r.printf(format+"\n", args...)
}

func (r *runner) warn(format string, args ...any) {
	if !r.quiet {
		_, _ = fmt.Fprintf(r.env.Err, "[WARNING]: %s\n", fmt.Sprintf(format, args...))
	}
}

// printJSON writes a value for programs.
func (r *runner) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	r.printf("%s\n", b)
	return nil
}

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON"} }

func extraFlag() cli.Flag { return &cli.BoolFlag{Name: "extra", Usage: "show more"} }

// plain is N1.
func plain(n uint32) string { return id.Node(n).String() }

// generational is N1:2.
func generational(n, generation uint32) string {
	return id.GenerationalNode{Node: id.Node(n), Generation: generation}.String()
}

func plains(nodes []uint32) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = plain(n)
	}
	return out
}

func stateName(text, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(text, prefix)), "_", "-")
}

func workerState(s storedv1.WorkerState) any {
	if s == storedv1.WorkerState_WORKER_STATE_UNSPECIFIED {
		return nil
	}
	return stateName(s.String(), "WORKER_STATE_")
}

func storageState(s storedv1.StorageState) any {
	if s == storedv1.StorageState_STORAGE_STATE_UNSPECIFIED {
		return nil
	}
	return stateName(s.String(), "STORAGE_STATE_")
}

// stateOf reads the name of a state; values are those of a protobuf enum.
func stateOf(flag, name, prefix string, values map[string]int32) (int32, error) {
	v, ok := values[prefix+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))]
	if !ok || v == 0 {
		var names []string
		for n, v := range values {
			if v != 0 {
				names = append(names, stateName(n, prefix))
			}
		}
		slices.Sort(names)
		return 0, argv.Usagef("invalid value '%s' for '--%s': %s", name, flag, strings.Join(names, ", "))
	}
	return v, nil
}

// uptime is how long a process runs, in the largest unit that says it well.
func uptime(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return d.Round(time.Second).String()
	default:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// rangeMax is how many ids a range may have.
const rangeMax = 1 << 16

// parseIDs reads ids and ranges: 0, 1-4, N2, also several with commas.
func parseIDs(what string, words []string) ([]uint32, error) {
	var out []uint32
	for _, word := range strings.Split(strings.Join(words, ","), ",") {
		word = strings.TrimSpace(word)
		from, to, isRange := strings.Cut(word, "-")
		lo, err := parseID(from)
		hi := lo
		if err == nil && isRange {
			hi, err = parseID(to)
		}
		if err != nil || hi < lo || hi-lo > rangeMax {
			return nil, argv.Usagef("invalid value '%s' for %s: an id such as 1, or a range such as 1-4", word, what)
		}
		for n := lo; ; n++ {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
			if n == hi {
				break
			}
		}
	}
	return out, nil
}

func parseID(text string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "N"), 10, 32)
	return uint32(n), err
}

// some are the ids that a command names, or all of n.
func some(c *cli.Context, what string, n int) ([]uint32, error) {
	if !c.Args().Present() {
		all := make([]uint32, n)
		for i := range all {
			all[i] = uint32(i)
		}
		return all, nil
	}
	ids, err := parseIDs(what, c.Args().Slice())
	if err != nil {
		return nil, err
	}
	for _, i := range ids {
		if int(i) >= n {
			return nil, fmt.Errorf("there is no %s %d: they are 0 to %d", strings.ToLower(strings.Trim(what, "<>")), i, n-1)
		}
	}
	return ids, nil
}

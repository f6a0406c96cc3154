package command

import (
	"strings"
	"time"

	"reprise/services/internal/argv"
)

// tableStyle is how tables are drawn.
type tableStyle uint8

const (
	compact tableStyle = iota
	borders
)

func parseTableStyle(s string) (tableStyle, error) {
	switch s {
	case "compact":
		return compact, nil
	case "borders":
		return borders, nil
	}
	return 0, argv.Usagef("invalid value '%s' for '--table-style': compact or borders", s)
}

// timeFormat is how times are shown.
type timeFormat string

func parseTimeFormat(s string) (timeFormat, error) {
	switch s {
	case "human":
		return "Mon 02 Jan 2006 15:04:05 -07:00", nil
	case "iso8601":
		return "2006-01-02T15:04:05.000-07:00", nil
	case "rfc2822":
		return "Mon, 2 Jan 2006 15:04:05 -0700", nil
	}
	return "", argv.Usagef("invalid value '%s' for '--time-format': human, iso8601 or rfc2822", s)
}

// show turns an RFC 3339 time into the user's form; what is none is shown as it is.
func (f timeFormat) show(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.UTC().Format(string(f))
}

// table is a header and rows; a cell may have several lines.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// draw lays the table out: columns as wide as their widest cell, two spaces between them.
func (t *table) draw(style tableStyle) string {
	all := t.rows
	if len(t.header) > 0 {
		all = append([][]string{t.header}, t.rows...)
	}
	var widths []int
	for _, row := range all {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			for line := range strings.Lines(cell) {
				widths[i] = max(widths[i], columns(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	var b strings.Builder
	rule := ""
	if style == borders {
		rule = ruleOf(widths)
	}
	b.WriteString(rule)
	for i, row := range all {
		drawRow(&b, row, widths, style)
		if i == 0 && len(t.header) > 0 {
			b.WriteString(rule)
		}
	}
	b.WriteString(rule)
	return b.String()
}

func drawRow(b *strings.Builder, row []string, widths []int, style tableStyle) {
	height := 1
	lines := make([][]string, len(row))
	for i, cell := range row {
		lines[i] = strings.Split(cell, "\n")
		height = max(height, len(lines[i]))
	}
	for y := range height {
		var line strings.Builder
		for i := range row {
			cell := ""
			if y < len(lines[i]) {
				cell = lines[i][y]
			}
			if style == borders {
				line.WriteString("| ")
			} else if i == 0 {
				line.WriteString(" ")
			} else {
				line.WriteString("  ")
			}
			line.WriteString(cell + strings.Repeat(" ", widths[i]-columns(cell)))
			if style == borders {
				line.WriteString(" ")
			}
		}
		if style == borders {
			line.WriteString("|")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func ruleOf(widths []int) string {
	var b strings.Builder
	for _, w := range widths {
		b.WriteString("+" + strings.Repeat("-", w+2))
	}
	return b.String() + "+\n"
}

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

const humanTime timeFormat = "Mon 02 Jan 2006 15:04:05 -07:00"

func (f timeFormat) human() bool { return f == humanTime }

func parseTimeFormat(s string) (timeFormat, error) {
	switch s {
	case "human":
		return humanTime, nil
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

// draw lays the table out: columns as wide as their widest cell, a space on either side.
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
	if style == borders {
		b.WriteString(rule(widths, '╭', '─', '┬', '╮'))
	}
	for i, row := range all {
		drawRow(&b, row, widths, style)
		switch {
		case style != borders:
		case i == 0 && len(t.header) > 0:
			b.WriteString(rule(widths, '╞', '═', '╪', '╡'))
		case i+1 < len(all):
			b.WriteString(rule(widths, '├', '╌', '┼', '┤'))
		}
	}
	if style == borders {
		b.WriteString(rule(widths, '╰', '─', '┴', '╯'))
	}
	return b.String()
}

func drawRow(b *strings.Builder, row []string, widths []int, style tableStyle) {
	height := 1
	lines := make([][]string, len(widths))
	for i, cell := range row {
		lines[i] = strings.Split(strings.TrimSuffix(cell, "\n"), "\n")
		height = max(height, len(lines[i]))
	}
	for y := range height {
		for i, width := range widths {
			cell := ""
			if y < len(lines[i]) {
				cell = lines[i][y]
			}
			switch {
			case style == borders && i == 0:
				b.WriteString("│")
			case style == borders:
				b.WriteString("┆")
			}
			b.WriteString(" " + cell + strings.Repeat(" ", width-columns(cell)) + " ")
		}
		if style == borders {
			b.WriteString("│")
		}
		b.WriteByte('\n')
	}
}

// rule is a line between rows, with its left end, fill, crossings and right end.
func rule(widths []int, left, fill, cross, right rune) string {
	var b strings.Builder
	for i, w := range widths {
		if i == 0 {
			b.WriteRune(left)
		} else {
			b.WriteRune(cross)
		}
		b.WriteString(strings.Repeat(string(fill), w+2))
	}
	b.WriteRune(right)
	b.WriteByte('\n')
	return b.String()
}

package grid

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"reprise/services/internal/argv"
)

// Style is how tables are drawn.
type Style uint8

// The styles.
const (
	Compact Style = iota
	Borders
)

// ParseStyle reads the value of --table-style.
func ParseStyle(s string) (Style, error) {
	switch s {
	case "compact":
		return Compact, nil
	case "borders":
		return Borders, nil
	}
	return 0, argv.Usagef("invalid value '%s' for '--table-style': compact or borders", s)
}

// TimeFormat is how times are shown.
type TimeFormat string

const humanTime TimeFormat = "Mon 02 Jan 2006 15:04:05 -07:00"

// Human tells whether people read it.
func (f TimeFormat) Human() bool { return f == humanTime }

// ParseTimeFormat reads the value of --time-format.
func ParseTimeFormat(s string) (TimeFormat, error) {
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

// Show turns an RFC 3339 time into the user's form; what is none is shown as it is.
func (f TimeFormat) Show(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.UTC().Format(string(f))
}

// Table is a header and rows; a cell may have several lines.
type Table struct {
	Header []string // none: there is no such row
	Rows   [][]string
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Draw lays the table out: columns as wide as their widest cell, a space on either side.
func (t *Table) Draw(style Style) string {
	all := t.Rows
	if len(t.Header) > 0 {
		all = append([][]string{t.Header}, t.Rows...)
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
	if style == Borders {
		b.WriteString(rule(widths, '╭', '─', '┬', '╮'))
	}
	for i, row := range all {
		drawRow(&b, row, widths, style)
		switch {
		case style != Borders:
		case i == 0 && len(t.Header) > 0:
			b.WriteString(rule(widths, '╞', '═', '╪', '╡'))
		case i+1 < len(all):
			b.WriteString(rule(widths, '├', '╌', '┼', '┤'))
		}
	}
	if style == Borders {
		b.WriteString(rule(widths, '╰', '─', '┴', '╯'))
	}
	return b.String()
}

func drawRow(b *strings.Builder, row []string, widths []int, style Style) {
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
			case style == Borders && i == 0:
				b.WriteString("│")
			case style == Borders:
				b.WriteString("┆")
			}
			b.WriteString(" " + cell + strings.Repeat(" ", width-columns(cell)) + " ")
		}
		if style == Borders {
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

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// columns is how wide a line is on the screen.
func columns(line string) int { return utf8.RuneCountInString(escapes.ReplaceAllString(line, "")) }

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// colour is how a terminal shows a word. In a pipe there is none.
type colour string

const (
	green  colour = "\x1b[32m"
	yellow colour = "\x1b[33m"
	red    colour = "\x1b[31m"
	blue   colour = "\x1b[34m"
	dim    colour = "\x1b[2m"
	bold   colour = "\x1b[1m"
)

const (
	plain       = "\x1b[0m"
	clearScreen = "\x1b[2J\x1b[H"
)

// paint colours a text in a terminal.
func (r *runner) paint(c colour, text string) string {
	if !r.colours || text == "" {
		return text
	}
	return string(c) + text + plain
}

// visible writes out the control characters of what others chose: names, keys and messages must not move a cursor.
func visible(text string) string {
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if isControl(c) {
			fmt.Fprintf(&b, "\\u%04x", c)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// shellWord writes an argument as it can be pasted into a shell.
func shellWord(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,=") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func isControl(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 }

// printf writes to the standard output. A reader that went away is no error of ours.
func (r *runner) printf(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format, args...) }

// section begins a part of a description.
func (r *runner) section(title string) {
	r.printf("\n %s:\n%s\n", r.paint(bold, title), strings.Repeat("―", utf8.RuneCountInString(title)+2))
}

// ok says that something was done.
func (r *runner) ok(format string, args ...any) {
	r.printf("%s %s\n", r.paint(green, "[OK]:"), fmt.Sprintf(format, args...))
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

// note says that there is nothing to show, which is no failure.
func (r *runner) note(text string) { _, _ = fmt.Fprintf(r.env.Err, "[ERR]: %s\n", text) }

func (r *runner) warn(text string) {
	if !r.quiet {
		_, _ = fmt.Fprintf(r.env.Err, "[WARNING]: %s\n", text)
	}
}

// tip explains what is shown.
func (r *runner) tip(text string) {
	if !r.quiet {
		_, _ = fmt.Fprintf(r.env.Err, "  %s\n", r.paint(dim, "[TIP]: "+text))
	}
}

func (r *runner) trace(text string) {
	if r.verbose {
		_, _ = fmt.Fprintln(r.env.Err, text)
	}
}

// hinted is an error with what to do next.
type hinted struct {
	error
	hint string
}

func (h *hinted) Error() string { return h.error.Error() + "\n\n" + h.hint }

func (h *hinted) Unwrap() error { return h.error }

// hint adds to an error what to do next, such as a command.
func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// jsonFlag is the flag of a command that can show what it found to programs, too.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, as the server answers"}
}

// printAnswer prints the JSON that the server answers to a GET, with all that this program does not know of.
func (r *runner) printAnswer(ctx context.Context, path string) error {
	var answer json.RawMessage
	if err := r.client.get(ctx, path, &answer); err != nil {
		return err
	}
	return r.printJSON(answer)
}

package argv

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
)

// Exit codes that scripts depend on.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a command line that is wrong.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// Usagef returns the error of a command line that is wrong.
func Usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// OnUsage is an OnUsageError of an app and its commands.
func OnUsage(_ *cli.Context, err error, _ bool) error { return Usagef("%s", err) }

// Run runs app with its arguments, without its own name, says on w what went wrong and returns the exit code.
func Run(ctx context.Context, app *cli.App, args []string, w io.Writer) int {
	arranged, err := Arrange(app, args)
	if err != nil {
		err = Usagef("%s", err)
	} else {
		err = app.RunContext(ctx, append([]string{app.Name}, arranged...))
	}
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(w, "error: %s\n\nFor more information, try '--help'.\n", usage.text)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(w, "Error: %s\n", err)
		return exitError
	}
}

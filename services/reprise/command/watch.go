package command

import (
	"bytes"
	"time"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
)

const intervalMax = 24 * time.Hour

// watchFlags are the flags of a command that shows something.
func watchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "show it again and again until interrupted"},
		&cli.Float64Flag{Name: "interval", Aliases: []string{"n"}, Value: 1, Usage: "`SECONDS` between two looks with --watch"},
	}
}

// watch shows something once, or until the user interrupts. The first error ends it.
func (r *runner) watch(c *cli.Context, show func() error) error {
	if !c.Bool("watch") {
		return show()
	}
	seconds := c.Float64("interval")
	if !(seconds > 0 && seconds <= intervalMax.Seconds()) { // not a number, too
		return argv.Usagef("invalid value '%v' for '-n': more than 0 and at most %v seconds", seconds, intervalMax.Seconds())
	}
	interval := time.Duration(seconds * float64(time.Second))
	screen := r.out
	defer func() { r.out = screen }()
	for {
		var page bytes.Buffer // shown as a whole, so that it does not flicker
		r.out = &page
		err := show()
		r.out = screen
		if c.Context.Err() != nil {
			return nil //nolint:nilerr // interrupting is how watching ends
		}
		if err != nil {
			return err
		}
		if r.env.Terminal {
			r.printf(clearScreen)
		}
		r.printf("%s", page.String())
		timer := r.env.Clock.NewTimer(interval)
		select {
		case <-c.Context.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"reprise/tests/e2e/harness"
)

// jump is how far a clock jumps.
const jump = 5 * time.Second

// Machines are faults of clocks and disks, of processes that were built with the tag faults.
func Machines() []Fault {
	return []Fault{
		{Name: "the clock of the busiest worker jumps ahead", Begin: told("clock", jump.String(), Busiest), Least: Long, Shift: jump},
		{Name: "the clock of the busiest worker jumps back", Begin: told("clock", (-jump).String(), Busiest), Least: Long, Shift: jump},
		{Name: "no sync succeeds at a log-server", Begin: told("sync", "", Any("log-server")), Least: Long},
		{Name: "no sync succeeds at the busiest worker", Begin: told("sync", "", Busiest), Least: Long},
	}
}

// told tells a process by a file how its clock or disk fails. It may end: then it is started again when the fault is over.
func told(file, text string, pick Pick) func(context.Context, *harness.Form, *rand.Rand) (string, End, error) {
	return func(ctx context.Context, f *harness.Form, random *rand.Rand) (string, End, error) {
		picked, err := pick(ctx, f, random)
		if err != nil {
			return "", nil, err
		}
		p := picked[0]
		path := filepath.Join(p.Faults, file)
		if err := os.MkdirAll(p.Faults, 0o755); err != nil {
			return "", nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", nil, err
		}
		return p.Name, func(ctx context.Context) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			if err := p.Revive(ctx); err != nil {
				return fmt.Errorf("%s after %s: %w", p.Name, file, err)
			}
			return nil
		}, nil
	}
}

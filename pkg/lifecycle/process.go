package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrSignal is the cause that a role sees when the process was told to stop.
var ErrSignal = errors.New("told to stop")

// ErrHurried says that a role did not stop in time: the process must exit without it.
var ErrHurried = errors.New("did not stop in time")

// Process runs a role until it ends or a signal comes; then the role may stop in order. A second signal,
// or the deadline, which starts at the first, makes Process return ErrHurried while the role still runs.
func Process(run func(ctx context.Context) error, signals <-chan os.Signal, deadline func() <-chan time.Time) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1) // the role's end, which nobody may wait for
	go func() { done <- run(ctx) }()
	select {
	case err := <-done:
		return err
	case s := <-signals:
		cancel(fmt.Errorf("%w by %s", ErrSignal, s))
	}
	select {
	case err := <-done:
		return err
	case s := <-signals:
		return fmt.Errorf("%w: %s came while it was stopping", ErrHurried, s)
	case <-deadline():
		return fmt.Errorf("%w: shutdown-timeout is over", ErrHurried)
	}
}

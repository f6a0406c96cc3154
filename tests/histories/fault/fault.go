package fault

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/workload"
)

// Fault is something that befalls a form.
type Fault struct {
	Name string
	// Begin begins it, and returns what it hit and what ends it.
	Begin func(context.Context, *harness.Form, *rand.Rand) (hit string, end End, err error)
	Least time.Duration // that it lasts
	// Shift is how far it moves a clock: timers may be that much early.
	Shift time.Duration
}

// End ends a fault.
type End func(context.Context) error

// Long is how long a fault lasts that must be noticed by silence: others lead by then what whoever it hit has led.
const Long = 2500 * time.Millisecond

// Plan is what befalls which form.
type Plan struct {
	Form   *harness.Form
	Load   *workload.Load
	Random *rand.Rand
	Faults []Fault
	Time   time.Duration // that it lasts; each fault comes at least once
	Log    func(string, ...any)
}

// Befall has one fault after the other befall the form, in an order that Random gives, until the time is over and each was
// there. Clients get on before, during and after each.
func Befall(ctx context.Context, p Plan) error {
	begin, gaps := time.Now(), map[string][]time.Duration{}
	for round := 1; ; round++ {
		for _, i := range p.Random.Perm(len(p.Faults)) {
			f := &p.Faults[i]
			gap, err := p.befall(ctx, f)
			if err != nil {
				return fmt.Errorf("round %d, %w", round, err)
			}
			gaps[f.Name] = append(gaps[f.Name], gap)
			if round > 1 && time.Since(begin) > p.Time {
				break
			}
		}
		if time.Since(begin) > p.Time {
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gaps)) {
		p.Log("%s", summary(name, gaps[name]))
	}
	return nil
}

func (p *Plan) befall(ctx context.Context, f *Fault) (gap time.Duration, err error) {
	if err := p.Load.Progress(ctx); err != nil {
		return 0, fmt.Errorf("before %s: %w", f.Name, err)
	}
	p.Load.Slowest()
	if f.Shift != 0 {
		p.Load.Shift(f.Shift)
	}
	started := time.Now()
	hit, end, err := f.Begin(ctx, p.Form, p.Random)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", f.Name, err)
	}
	for {
		if err := p.Load.Progress(ctx); err != nil {
			return 0, fmt.Errorf("after %s of %s: %w", f.Name, hit, err)
		}
		if time.Since(started) > f.Least {
			break
		}
	}
	lasted := time.Since(started)
	if err := end(ctx); err != nil {
		return 0, fmt.Errorf("the end of %s of %s: %w", f.Name, hit, err)
	}
	if err := p.Load.Progress(ctx); err != nil {
		return 0, fmt.Errorf("after the end of %s of %s: %w", f.Name, hit, err)
	}
	gap = p.Load.Slowest()
	p.Log("%s %s of %s, for %s: the worst gap of a caller was %s", started.UTC().Format("15:04:05.000"), f.Name, hit, lasted.Round(time.Millisecond), gap)
	return gap, nil
}

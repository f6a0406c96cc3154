package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"

	"reprise/tests/e2e/harness"
)

// Pick chooses processes of a form.
type Pick func(context.Context, *harness.Form, *rand.Rand) ([]*harness.Process, error)

// Busiest is who leads most partitions.
func Busiest(ctx context.Context, f *harness.Form, _ *rand.Rand) ([]*harness.Process, error) {
	p, _, err := f.Busiest(ctx)
	return []*harness.Process{p}, err
}

// Quorum is who leads the metadata quorum.
func Quorum(ctx context.Context, f *harness.Form, _ *rand.Rand) ([]*harness.Process, error) {
	p, err := f.MetadataLeader(ctx)
	return []*harness.Process{p}, err
}

// Any is one of those with a name that begins so.
func Any(prefix string) Pick { return some(prefix, 1) }

// some are n of those with a name that begins so.
func some(prefix string, n int) Pick {
	return func(_ context.Context, f *harness.Form, random *rand.Rand) ([]*harness.Process, error) {
		all := slices.DeleteFunc(slices.Clone(f.Processes), func(p *harness.Process) bool { return !strings.HasPrefix(p.Name, prefix) })
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if len(all) < n {
			return nil, fmt.Errorf("%s has %d processes %s, not %d", f.Name, len(all), prefix, n)
		}
		return all[:n], nil
	}
}

// Named is the process of that name.
func Named(name string) Pick {
	return func(_ context.Context, f *harness.Form, _ *rand.Rand) ([]*harness.Process, error) {
		p, err := f.Process(name)
		return []*harness.Process{p}, err
	}
}

// all are those that any of the picks chooses.
func all(picks ...Pick) Pick {
	return func(ctx context.Context, f *harness.Form, random *rand.Rand) (picked []*harness.Process, err error) {
		for _, pick := range picks {
			more, err := pick(ctx, f, random)
			if err != nil {
				return nil, err
			}
			for _, p := range more {
				if !slices.Contains(picked, p) {
					picked = append(picked, p)
				}
			}
		}
		return picked, nil
	}
}

// way is how processes go and come back.
type way struct {
	begin func(*harness.Process) error
	end   func(context.Context, *harness.Process) error
}

var (
	killed  = way{(*harness.Process).Kill, restart}
	stopped = way{(*harness.Process).Stop, restart}
	hung    = way{
		func(p *harness.Process) error { return p.Signal(syscall.SIGSTOP) },
		func(_ context.Context, p *harness.Process) error { return p.Signal(syscall.SIGCONT) },
	}
)

func restart(ctx context.Context, p *harness.Process) error { return p.Restart(ctx) }

// of has processes go, at the same time.
func (w way) of(pick Pick) func(context.Context, *harness.Form, *rand.Rand) (string, End, error) {
	return func(ctx context.Context, f *harness.Form, random *rand.Rand) (string, End, error) {
		picked, err := pick(ctx, f, random)
		if err != nil {
			return "", nil, err
		}
		names := make([]string, len(picked))
		for i, p := range picked {
			names[i] = p.Name
		}
		return strings.Join(names, ", "), func(ctx context.Context) error {
			return each(picked, func(p *harness.Process) error { return w.end(ctx, p) })
		}, each(picked, w.begin)
	}
}

// each does something to processes at the same time.
func each(all []*harness.Process, do func(*harness.Process) error) error {
	failed := make([]error, len(all))
	var running sync.WaitGroup
	for i, p := range all {
		running.Go(func() { failed[i] = do(p) })
	}
	running.Wait()
	return errors.Join(failed...)
}

// Processes are the faults that befall processes of a form. Hung leaders come twice as often: what one says that wakes up
// after others took over is what may be stale.
func Processes(form string) []Fault {
	if form == "nodes" {
		return []Fault{
			{Name: "kill -9 of the busiest node", Begin: killed.of(Busiest)},
			{Name: "kill -9 of the metadata leader", Begin: killed.of(Quorum)},
			{Name: "kill -9 of a node", Begin: killed.of(Any("node"))},
			{Name: "kill -9 of the first node, which replaces leaders", Begin: killed.of(Named("node-1"))},
			{Name: "kill -9 of who leads partitions and metadata and replaces leaders", Begin: killLeaderOfAll},
			{Name: "SIGTERM of the busiest node", Begin: stopped.of(Busiest)},
			{Name: "SIGSTOP of the busiest node", Begin: hung.of(Busiest), Least: Long},
			{Name: "SIGSTOP of the busiest node", Begin: hung.of(Busiest), Least: Long},
			{Name: "SIGSTOP of a node", Begin: hung.of(Any("node")), Least: Long},
		}
	}
	faults := []Fault{
		{Name: "kill -9 of the busiest worker", Begin: killed.of(Busiest)},
		{Name: "SIGTERM of the busiest worker", Begin: stopped.of(Busiest)},
		{Name: "SIGSTOP of the busiest worker", Begin: hung.of(Busiest), Least: Long},
		{Name: "SIGSTOP of the busiest worker", Begin: hung.of(Busiest), Least: Long},
		{Name: "kill -9 of a worker", Begin: killed.of(Any("worker"))},
		{Name: "kill -9 of a log-server", Begin: killed.of(Any("log-server"))},
		{Name: "SIGSTOP of a log-server", Begin: hung.of(Any("log-server")), Least: Long},
		{Name: "kill -9 of a metadata daemon", Begin: killed.of(Any("metadata"))},
	}
	if form == "cluster" { // three metadata daemons
		faults = append(faults,
			Fault{Name: "kill -9 of the metadata leader", Begin: killed.of(Quorum)},
			Fault{Name: "SIGSTOP of the metadata leader", Begin: hung.of(Quorum), Least: Long},
			Fault{Name: "kill -9 of the busiest worker, the metadata leader and a log-server", Begin: killed.of(all(Busiest, Quorum, Any("log-server")))},
			Fault{Name: "no quorum of metadata", Begin: killed.of(some("metadata", 2)), Least: Long},
		)
	}
	return faults
}

// killLeaderOfAll kills the node that leads the metadata quorum and partitions and is the first, which replaces leaders.
func killLeaderOfAll(ctx context.Context, f *harness.Form, random *rand.Rand) (string, End, error) {
	node, err := f.Process("node-1")
	if err != nil {
		return "", nil, err
	}
	for tries := 0; ; tries++ {
		leader, err := f.MetadataLeader(ctx)
		if err != nil {
			return "", nil, err
		}
		if leader == node {
			break
		}
		if tries == triesMax {
			return "", nil, fmt.Errorf("%s did not become the metadata leader in %d elections", node.Name, triesMax)
		}
		// One of the two others is elected.
		if err := leader.Kill(); err != nil {
			return "", nil, err
		}
		if err := leader.Restart(ctx); err != nil {
			return "", nil, err
		}
	}
	if err := f.Lead(ctx, node); err != nil {
		return "", nil, err
	}
	return killed.of(Named(node.Name))(ctx, f, random)
}

// triesMax is how many elections a node may lose one after the other: once in a thousand times.
const triesMax = 10

package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"reprise/pkg/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// diary notes what parts do, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, ", ")
}

// part runs until it is stopped or, with fail, until that is closed.
type part struct {
	name  string
	diary *diary
	ready chan struct{} // closed when it is ready; nil: when it starts
	fail  chan struct{}
	end   error // what it returns when it was stopped

	once  sync.Once
	began chan struct{}
}

func (p *part) started() chan struct{} {
	p.once.Do(func() { p.began = make(chan struct{}) })
	return p.began
}

func (p *part) Ready() <-chan struct{} {
	if p.ready == nil {
		return p.started()
	}
	return p.ready
}

func (p *part) Run(ctx context.Context) error {
	p.diary.note("start " + p.name)
	close(p.started())
	select {
	case <-ctx.Done():
		if !errors.Is(context.Cause(ctx), lifecycle.ErrStopped) {
			return errors.New("stopped with another cause")
		}
		p.diary.note("stop " + p.name)
		return p.end
	case <-p.fail:
		p.diary.note("break " + p.name)
		return errBroken
	}
}

func run(ctx context.Context, t *testing.T, parts ...lifecycle.Part) func() error {
	t.Helper()
	g := lifecycle.NewGroup(context.WithoutCancel(ctx))
	g.Go("role", func(context.Context) error { return lifecycle.Run(ctx, parts...) })
	return g.Wait
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	last := &part{name: "c", diary: &d}
	up := lifecycle.Func(func(ctx context.Context) error { cancel(); <-ctx.Done(); return nil })
	wait := run(ctx, t, &part{name: "a", diary: &d}, &part{name: "b", diary: &d, end: context.Canceled}, last, up)
	if err := wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if got := d.String(); got != "start a, start b, start c, stop c, stop b, stop a" {
		t.Errorf("it went %s", got)
	}
}

func TestWaitsForReadiness(t *testing.T) {
	var d diary
	slow := &part{name: "slow", diary: &d, ready: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	wait := run(ctx, t, slow, lifecycle.Func(func(ctx context.Context) error {
		d.note("start next")
		close(started)
		<-ctx.Done()
		return nil
	}))
	select {
	case <-started:
		t.Error("the next part did not wait")
	default:
	}
	d.note("ready")
	close(slow.ready)
	<-started
	cancel()
	if err := wait(); err != nil {
		t.Error(err)
	}
	if got := d.String(); !strings.Contains(got, "ready, start next") && !strings.Contains(got, "ready, start slow, start next") {
		t.Errorf("it went %s", got)
	}
}

func TestTheFirstFailureStopsAllAndIsReturned(t *testing.T) {
	var d diary
	broken := &part{name: "b", diary: &d, fail: make(chan struct{}), ready: make(chan struct{})}
	close(broken.ready)
	up := lifecycle.Func(func(ctx context.Context) error { close(broken.fail); <-ctx.Done(); return nil })
	err := run(t.Context(), t, &part{name: "a", diary: &d, end: errors.New("a consequence")}, broken, up)()
	if !errors.Is(err, errBroken) {
		t.Errorf("ended with %v", err)
	}
	if got := d.String(); !strings.HasSuffix(got, "stop a") || strings.Contains(got, "stop b") {
		t.Errorf("it went %s", got)
	}
}

// However the goroutines run, the cause is not missed.
func TestPartThatEndsByItselfIsTheCause(t *testing.T) {
	for range 2000 {
		err := lifecycle.Run(t.Context(), lifecycle.Func(func(context.Context) error { return nil }))
		if err == nil {
			t.Fatal("ended as if it had been stopped")
		}
	}
}

// A part that fails while a later one is not ready yet must not be waited past.
func TestFailureDuringStart(t *testing.T) {
	var d diary
	broken := &part{name: "a", diary: &d, fail: make(chan struct{})}
	never := &part{name: "b", diary: &d, ready: make(chan struct{})}
	wait := run(t.Context(), t, broken, never, &part{name: "c", diary: &d})
	close(broken.fail)
	if err := wait(); !errors.Is(err, errBroken) {
		t.Errorf("ended with %v", err)
	}
	if strings.Contains(d.String(), "start c") {
		t.Errorf("it went %s", &d)
	}
}

func TestStopDuringStart(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	wait := run(ctx, t, &part{name: "a", diary: &d, ready: make(chan struct{})}, &part{name: "b", diary: &d})
	cancel()
	if err := wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if strings.Contains(d.String(), "b") {
		t.Errorf("it went %s", &d)
	}
}

func TestAPartThatEndsByItselfEndsTheRole(t *testing.T) {
	var d diary
	if err := run(t.Context(), t, &part{name: "a", diary: &d}, lifecycle.Func(func(context.Context) error { return nil }))(); err == nil {
		t.Error("nobody noticed")
	}
}

func TestAFailureWhileStoppingIsReturned(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	up := lifecycle.Func(func(ctx context.Context) error { cancel(); <-ctx.Done(); return nil })
	if err := run(ctx, t, &part{name: "a", diary: &d, end: errBroken}, up)(); !errors.Is(err, errBroken) {
		t.Errorf("ended with %v", err)
	}
}

func TestGroup(t *testing.T) {
	g := lifecycle.NewGroup(t.Context())
	g.Go("follower", func(ctx context.Context) error { <-ctx.Done(); return nil })
	g.Go("breaker", func(context.Context) error { return errBroken })
	if err := g.Wait(); !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "breaker: ") {
		t.Errorf("got %v", err)
	}
	if g.Context().Err() == nil {
		t.Error("its context lives on")
	}
}

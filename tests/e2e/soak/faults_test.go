package soak

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"reprise/tests/e2e/harness"
)

// faults befall one process of each kind, so that the others live through all of it.
type faults struct {
	form     *harness.Form
	endpoint *harness.Process
	record   *recorder
	pause    time.Duration // between two
	log      func(string, ...any)

	next  int
	count map[string]int
}

// befall has one after the other befall the cluster until ctx ends.
func (f *faults) befall(ctx context.Context, failed func(error)) {
	if f.count == nil {
		f.count = map[string]int{}
	}
	// What was begun is ended, though ctx ends.
	whole := context.WithoutCancel(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(f.pause):
		}
		kind := []string{"service killed", "worker killed", "service killed", "log-server killed", "worker stopped"}[f.next%5]
		f.next++
		f.count[kind]++
		f.record.mark()
		if err := f.strike(whole, kind); err != nil {
			failed(fmt.Errorf("%s: %w", kind, err))
		}
	}
}

func (f *faults) strike(ctx context.Context, kind string) error {
	p, end := f.endpoint, (*harness.Process).Kill
	var err error
	switch kind {
	case "worker killed":
		p, err = f.form.Process("worker-1")
	case "worker stopped":
		p, err = f.form.Process("worker-1")
		end = (*harness.Process).Stop
	case "log-server killed":
		p, err = f.form.Process("log-server-3")
	}
	if err != nil {
		return err
	}
	if err := end(p); err != nil {
		return err
	}
	select { // it stays away for longer than it takes to be missed
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
	}
	if err := p.Start(); err != nil {
		return err
	}
	if p == f.endpoint {
		return p.WaitListening(ctx)
	}
	return p.WaitReady(ctx)
}

func (f *faults) summary() string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(f.count)) {
		all = append(all, fmt.Sprintf("%s %d times", kind, f.count[kind]))
	}
	return strings.Join(all, ", ")
}

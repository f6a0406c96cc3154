package schema

import (
	"errors"
	"fmt"
	"time"

	"reprise/pkg/retry"
)

// Defaults are the server's part of the options of a handler: what holds if neither the handler nor
// its service says anything, and how much they may ask for.
type Defaults struct {
	Inactivity           time.Duration // then an attempt is asked to suspend; default 1 m
	Abort                time.Duration // then it is cut; default 10 m
	JournalRetention     time.Duration // of a journal after completion; default 1 d
	IdempotencyRetention time.Duration // of the result of a call with a key; default 1 d
	WorkflowRetention    time.Duration // of the result of a workflow; default 1 d
	Retry                retry.Policy  // default 500 ms, doubled up to 1 m, 70 attempts, then pause

	// Ceilings; nil is none, and a retention of 0 keeps nothing.
	MaxJournalRetention     *time.Duration
	MaxIdempotencyRetention *time.Duration
	MaxWorkflowRetention    *time.Duration
	MaxAttempts             uint32 // 0 = none
}

// Default are the defaults of a server that is told nothing.
func Default() Defaults {
	const day = 24 * time.Hour
	return Defaults{
		Inactivity: time.Minute, Abort: 10 * time.Minute,
		JournalRetention: day, IdempotencyRetention: day, WorkflowRetention: day,
		Retry: retry.Policy{Initial: 500 * time.Millisecond, Max: time.Minute, Factor: 2, MaxAttempts: 70},
	}
}

// Validate reports all faults at once.
func (d Defaults) Validate() error {
	var all []error
	check := func(name string, v time.Duration) {
		if v < 0 {
			all = append(all, fmt.Errorf("%s: %s is negative", name, v))
		}
	}
	checkMax := func(name string, v *time.Duration) {
		if v != nil {
			check(name, *v)
		}
	}
	check("inactivity timeout", d.Inactivity)
	check("abort timeout", d.Abort)
	check("default journal retention", d.JournalRetention)
	check("default idempotency retention", d.IdempotencyRetention)
	check("default workflow completion retention", d.WorkflowRetention)
	check("default retry policy: initial interval", d.Retry.Initial)
	check("default retry policy: max interval", d.Retry.Max)
	checkMax("max journal retention", d.MaxJournalRetention)
	checkMax("max idempotency retention", d.MaxIdempotencyRetention)
	checkMax("max workflow completion retention", d.MaxWorkflowRetention)
	if !(d.Retry.Factor > 0) {
		all = append(all, fmt.Errorf("default retry policy: factor %v is not positive", d.Retry.Factor))
	}
	return errors.Join(all...)
}

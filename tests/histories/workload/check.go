package workload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/anishathalye/porcupine"

	"reprise/tests/e2e/harness"
)

const (
	checkLimit = 2 * time.Minute // of one history
	// tick is how fine the server's timers are.
	tick = time.Millisecond
)

// Check returns what is wrong with what clients saw, after they have stopped.
func (w *Load) Check(ctx context.Context, log func(string, ...any)) []error {
	faults := w.unexpected
	faults = append(faults, w.checkObjects(log)...)
	faults = append(faults, w.checkFlows(ctx, log)...)
	faults = append(faults, w.checkTimers(ctx, log)...)
	return faults
}

func (w *Load) checkObjects(log func(string, ...any)) (faults []error) {
	operations := 0
	for key, history := range w.histories {
		operations += len(history)
		switch porcupine.CheckOperationsTimeout(model(machines[key.kind]), history, checkLimit) {
		case porcupine.Ok:
		case porcupine.Illegal:
			faults = append(faults, fmt.Errorf("%s %s is not linearizable: %+v", key.kind, key.key, history))
		default:
			faults = append(faults, fmt.Errorf("%s %s: %d operations were not checked within %s", key.kind, key.key, len(history), checkLimit))
		}
	}
	log("%d operations on %d objects", operations, len(w.histories))
	return faults
}

// checkFlows checks what was seen of workflows, and that each that was accepted ran once.
func (w *Load) checkFlows(ctx context.Context, log func(string, ...any)) (faults []error) {
	c := harness.NewClient(w.form)
	defer c.Close()
	looks := 0
	for flow, seen := range w.flows {
		looks += len(seen)
		fault := checkLooks(seen)
		if fault == "" && accepted(seen) {
			fault = w.checkEnd(ctx, c, flow, seen)
		}
		if fault != "" {
			faults = append(faults, fmt.Errorf("workflow %s: %s", flow, fault))
		}
	}
	log("%d looks at %d workflows", looks, len(w.flows))
	return faults
}

func accepted(looks []Look) bool {
	for _, l := range looks {
		if l.Stage != Unknown {
			return true
		}
	}
	return false
}

// checkEnd checks the result of a workflow, and how often it ran. To start it again changes nothing.
func (w *Load) checkEnd(ctx context.Context, c *harness.Client, flow string, seen []Look) string {
	if err := c.Call(ctx, "Flow/"+flow+"/run/send", 0, nil); err != nil {
		return err.Error()
	}
	res, err := c.Do(ctx, harness.Request{Method: http.MethodGet, URL: w.form.Ingress + "/restate/workflow/Flow/" + flow + "/attach"})
	if err != nil {
		return err.Error()
	}
	if res.Status != http.StatusOK {
		return fmt.Sprintf("status %d in the end: %s", res.Status, res.Body)
	}
	if fault := checkLooks(append(seen, Look{Start: w.now(), End: w.now(), Stage: Done, Value: string(res.Body)})); fault != "" {
		return fault
	}
	var runs Output
	if err := c.Call(ctx, "Counter/"+runsOf(flow)+"/do", Input{Verb: "read"}, &runs); err != nil {
		return err.Error()
	}
	if runs.Value != 1 {
		return fmt.Sprintf("it ran %d times", runs.Value)
	}
	return ""
}

// checkTimers waits for all alarms. It logs how late they were after they had been accepted: a call that sleeps also waits
// for whoever takes it, which is the gap of a caller.
func (w *Load) checkTimers(ctx context.Context, log func(string, ...any)) (faults []error) {
	var latest timer
	var late, slow time.Duration
	for _, t := range w.timers {
		if t.rang.IsZero() {
			err := harness.Wait(ctx, progressLimit, "alarm "+t.name, func(context.Context) error {
				if t.rang = w.alarms.of(t.name); t.rang.IsZero() {
					return errors.New("it did not ring")
				}
				return nil
			})
			if err != nil {
				faults = append(faults, err)
				continue
			}
		}
		took := t.rang.Sub(t.asked) - t.delay
		if took < -tick-w.shift {
			faults = append(faults, fmt.Errorf("alarm %s of %s was %s early", t.name, t.delay, -took))
		}
		if t.accepted.IsZero() {
			slow = max(slow, took)
		} else if l := t.rang.Sub(t.accepted) - t.delay; l > late {
			late, latest = l, t
		}
	}
	log("%d timers: calls that slept were up to %s late, accepted alarms up to %s (accepted at %s, to ring after %s); clocks were moved by up to %s",
		len(w.timers), slow.Round(time.Millisecond), late.Round(time.Millisecond), latest.accepted.UTC().Format("15:04:05.000"), latest.delay, w.shift)
	return faults
}

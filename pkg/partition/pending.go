package partition

import (
	"errors"
	"io"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
)

// Pending rebuilds from rows the effects that a leader who did not apply them has to act on: what is
// invoked is started, timers are armed, messages are sent. Each function walks one table of a snapshot
// and returns io.EOF after its last row.
type Pending struct {
	Active func() (*invocation.Invocation, error) // invocations that are not completed
	Timers func() (Timer, error)
	Outbox func() (target id.Partition, seq uint64, record []byte, err error)
}

// Next appends the effects of up to max more rows, with LSN 0; done tells that there are no more. Acting
// on one that is out of date, or was acted on, is harmless.
func (p *Pending) Next(max int, effects []Effect) (_ []Effect, done bool, err error) {
	for range max {
		var e Effect
		switch {
		case p.Active != nil:
			if e, err = p.start(); errors.Is(err, io.EOF) {
				p.Active = nil
			}
		case p.Timers != nil:
			var t Timer
			if t, err = p.Timers(); errors.Is(err, io.EOF) {
				p.Timers = nil
			}
			e = Effect{Kind: EffectTimer, ID: t.ID, Timer: t}
		case p.Outbox != nil:
			e.Kind = EffectOutbox
			if e.Target, e.Seq, e.Record, err = p.Outbox(); errors.Is(err, io.EOF) {
				p.Outbox = nil
			}
		default:
			return effects, true, nil
		}
		if err == nil && e.Kind != 0 {
			effects = append(effects, e)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return effects, false, err
		}
	}
	return effects, false, nil
}

func (p *Pending) start() (Effect, error) {
	inv, err := p.Active()
	if err != nil || inv.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED {
		return Effect{}, err
	}
	return Effect{Kind: EffectStart, ID: inv.ID, Inv: inv, Activation: activationOf(&inv.Row)}, nil
}

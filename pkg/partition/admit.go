package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/queue"
)

// schedule has an invocation wait for its time.
func (a *application) schedule(inv *invocation.Invocation, input []byte) error {
	inv.Row.Status = storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED
	inv.Row.Input = input
	inv.Row.ModifiedAtMs = a.now
	if err := a.putTimer(startTimer(inv)); err != nil {
		return err
	}
	return a.st.PutInvocation(inv)
}

func startTimer(inv *invocation.Invocation) Timer {
	return Timer{Due: inv.Row.ExecuteAtMs, ID: inv.ID, Incarnation: inv.Row.Incarnation, Kind: TimerStart}
}

func sleepTimer(inv *invocation.Invocation, due int64, completion uint32) Timer {
	return Timer{Due: due, ID: inv.ID, Incarnation: inv.Row.Incarnation, Kind: TimerSleep, Index: completion}
}

func (a *application) putTimer(t Timer) error {
	if err := a.st.PutTimer(t); err != nil {
		return err
	}
	a.emit(Effect{Kind: EffectTimer, ID: t.ID, Timer: t})
	return nil
}

// queuedPerRecord bounds, with room to spare, how many entries one record puts into queues.
const queuedPerRecord = 1 << 16

// admit starts an invocation whose time has come, or has it wait for the lock of its key.
func (a *application) admit(inv *invocation.Invocation, input []byte) error {
	if inv.Exclusive() {
		position := a.position()
		stage, err := queue.Enter(a.st, queueOf(inv), queue.Entry{Position: position, ID: inv.ID})
		if err != nil {
			return err
		}
		if stage == queue.Waiting {
			a.queued++
			inv.Row.Status = storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED
			inv.Row.QueuePosition = position
			inv.Row.Input = input
			inv.Row.ModifiedAtMs = a.now
			return a.st.PutInvocation(inv)
		}
	}
	return a.begin(inv, input)
}

// position is where the next entry of this record stands in a queue.
func (a *application) position() uint64 { return a.lsn()*queuedPerRecord + a.queued }

func queueOf(inv *invocation.Invocation) queue.Name {
	return queue.Name{Service: inv.Row.Target.GetService(), Key: inv.Row.Target.GetKey()}
}

// begin starts the first activation. input is empty if it is in the journal already.
func (a *application) begin(inv *invocation.Invocation, input []byte) error {
	if err := a.writeInput(inv, input); err != nil {
		return err
	}
	inv.Row.QueuePosition = 0
	return a.activate(inv)
}

// writeInput makes input entry 0 of the journal.
func (a *application) writeInput(inv *invocation.Invocation, input []byte) error {
	if len(input) == 0 {
		return nil
	}
	if _, err := a.st.Journal(inv); err != nil {
		return err
	}
	inv.Row.Input = nil
	inv.Input = input
	return a.st.AppendJournal(inv, journal.Row{Entries: 1, Time: a.now, Frames: input})
}

// activate starts an activation: the invoker runs it from here on.
func (a *application) activate(inv *invocation.Invocation) error {
	inv.Row.Status = storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED
	inv.Row.Activation = a.lsn()
	inv.Row.Awaiting = nil
	inv.Row.Failure = nil
	inv.Row.Pausing = false
	inv.Row.ModifiedAtMs = a.now
	a.emit(Effect{Kind: EffectStart, ID: inv.ID, Inv: inv, Activation: a.rec.LSN})
	return a.st.PutInvocation(inv)
}

// deactivate ends the present activation, if there is one; the caller puts the row.
func (a *application) deactivate(inv *invocation.Invocation, next storedv1.InvocationStatus) {
	if inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED {
		a.emit(Effect{Kind: EffectStop, ID: inv.ID, Activation: activationOf(&inv.Row)})
	}
	inv.Row.Status = next
	inv.Row.Pausing = false
	inv.Row.ModifiedAtMs = a.now
}

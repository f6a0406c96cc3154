package partition

import (
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/lsn"
)

// EffectKind says what a leader should do.
type EffectKind uint8

// The effects.
const (
	// EffectStart: an activation of Inv began; start an attempt with its journal as it is now.
	EffectStart EffectKind = 1
	// EffectForward: Frames (notifications) were stored for ID; a live attempt gets them. They stand
	// at entries [First, First+Entries) of the journal; an attempt whose replay reached that far has them.
	EffectForward EffectKind = 2
	// EffectStepped: a Step record of ID's attempt was applied (or dropped as stale, Dropped is set).
	// Entries is the number of commands in the journal then. It comes before the Forwards of the record.
	EffectStepped EffectKind = 3
	// EffectStop: the activation Activation of the invocation is over: it completed, was suspended or
	// paused, or what it suspended for was there, and an EffectStart follows.
	EffectStop EffectKind = 4
	// EffectAnswer: the record LSN is applied; whoever proposed it with a wait gets Outcome.
	EffectAnswer EffectKind = 5
	// EffectCompleted: the invocation ended; everyone who waits for it gets Outcome.
	EffectCompleted EffectKind = 6
	// EffectTimer: a timer row was put.
	EffectTimer EffectKind = 7
	// EffectOutbox: an outbox row Seq with Record was put for Target.
	EffectOutbox EffectKind = 8
	// EffectLead: an Announce was applied: Epoch leads now.
	EffectLead EffectKind = 9

	// EffectHold: the activation Activation is to be paused: its attempt sends no more and is given the time
	// to end; then, or at once if there is none, a Pause is proposed.
	EffectHold EffectKind = 15
	// EffectRetry: the activation Activation is not to wait for its next attempt any longer.
	EffectRetry EffectKind = 16
)

// Effect is one hint. Which fields are set depends on the kind.
type Effect struct {
	Kind       EffectKind
	Dropped    bool
	LSN        lsn.LSN // of the record that caused it
	ID         id.Invocation
	Inv        *invocation.Invocation // borrowed: it changes with later commands
	Activation lsn.LSN
	Attempt    uint32
	First      uint32
	Entries    uint32
	Frames     []byte // borrowed from the record, or owned by the effect; never changed
	Timer      Timer
	Target     id.Partition
	Seq        uint64
	Record     []byte // owned by the effect
	Epoch      lsn.Epoch
	Outcome    *command.Outcome
}

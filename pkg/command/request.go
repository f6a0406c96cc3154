package command

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// Want says when a Request is answered.
type Want uint8

// What a request may wait for.
const (
	WantAccepted  Want = 1 // the record was applied
	WantCompleted Want = 2 // the invocation has ended
	WantNow       Want = 3 // what is known when the record was applied
)

// Request hands a finished, unnumbered record to the leader of its partition.
type Request struct {
	ID     id.Invocation // routes the request
	Record []byte        // borrowed until the answer
	Want   Want
}

// Requestable tells whether clients may ask for a command of the kind; the rest is proposed by leaders.
func (k Kind) Requestable() bool {
	switch k {
	case Invoke, Signal, Read, Cancel, Kill, Hold, Resume, Restart, Purge, PurgeJournal, PatchState:
		return true
	default:
		return false
	}
}

// Deliverable tells whether partitions send commands of the kind to one another.
func (k Kind) Deliverable() bool {
	switch k {
	case Invoke, Signal, Respond, Share, Attach, Kill:
		return true
	default:
		return false
	}
}

// OutcomeStatus tells how a Request ended.
type OutcomeStatus uint8

// The outcomes.
const (
	OutcomeAccepted           OutcomeStatus = 1 // created by this request
	OutcomePreviouslyAccepted OutcomeStatus = 2 // the id existed already
	OutcomeCompleted          OutcomeStatus = 3 // Result is set
	OutcomePending            OutcomeStatus = 4 // exists, has not completed (WantNow)
	OutcomeNotFound           OutcomeStatus = 5 // no such invocation (Read, Signal, what operators do)

	// Of what operators do; OutcomeAccepted says that it was done at once.

	OutcomeUnderWay         OutcomeStatus = 10 // it was asked for and will follow
	OutcomeAlreadyCompleted OutcomeStatus = 11
	OutcomeNotCompleted     OutcomeStatus = 12 // running, suspended or paused
	OutcomeNotStarted       OutcomeStatus = 13 // scheduled or inboxed
	OutcomeDeploymentFixed  OutcomeStatus = 14 // the deployment cannot be changed now
	OutcomeProtocolMismatch OutcomeStatus = 15 // the deployment does not speak the version that the journal has
	OutcomeNotRestartable   OutcomeStatus = 16 // of that kind of invocation
	OutcomeJournalGone      OutcomeStatus = 17
	OutcomeBadPrefix        OutcomeStatus = 18 // a part of the journal that nothing can begin with
	OutcomeQueueFull        OutcomeStatus = 19 // too many changes of a state wait
)

// Outcome answers a Request. It is immutable.
type Outcome struct {
	Status    OutcomeStatus
	ExecuteAt int64 // of a scheduled invocation, Unix milliseconds; else 0
	Target    *storedv1.Target
	Result    *storedv1.Result
	Stored    bool  // the result was read from an invocation that had completed before the request
	ExpiresAt int64 // with Stored: when the result is forgotten, Unix milliseconds
	Workflow  bool  // a workflow run that existed already (an ingress call gets 409)
}

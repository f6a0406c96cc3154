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

// OutcomeStatus tells how a Request ended.
type OutcomeStatus uint8

// The outcomes.
const (
	OutcomeAccepted           OutcomeStatus = 1 // created by this request
	OutcomePreviouslyAccepted OutcomeStatus = 2 // the id existed already
	OutcomeCompleted          OutcomeStatus = 3 // Result is set
	OutcomePending            OutcomeStatus = 4 // exists, has not completed (WantNow)
	OutcomeNotFound           OutcomeStatus = 5 // no such invocation (Read, Signal)
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

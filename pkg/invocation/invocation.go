package invocation

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/journal"
)

// Invocation is the decoded row of an invocation.
//
// It belongs to the goroutine that owns the partition: Apply changes it in place and puts it into
// the state's batch. If a batch fails the partition is parked and its cache dropped, so a change
// never outlives a batch that was not stored.
type Invocation struct {
	ID  id.Invocation
	Row storedv1.Invocation

	// Journal is what the journal rows say, nil until State.Journal loaded it.
	// It is kept up to date by Apply while the invocation is not completed.
	Journal *journal.Index

	// Input is the Input frame while the journal holds nothing else, so that a first attempt reads no
	// row. It may be nil, and is never changed.
	Input []byte
}

// Exclusive tells whether the invocation needs the lock of its object key.
func (i *Invocation) Exclusive() bool {
	t := i.Row.Target
	return t.GetServiceType() == storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT &&
		t.GetHandlerType() == storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE
}

// Hidden tells whether the invocation has completed and nothing of it is to be kept. Such a row may stay for
// a while, for the request that created it may be sent again and must find its answer; to everybody else
// it is not there.
func (i *Invocation) Hidden() bool {
	return i.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED && i.Row.CompletionRetentionMs <= 0
}

// Started tells whether the invocation has begun and not ended: it holds its lock, if it needs one.
func (i *Invocation) Started() bool {
	switch i.Row.Status {
	case storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED, storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED,
		storedv1.InvocationStatus_INVOCATION_STATUS_PAUSED:
		return true
	default:
		return false
	}
}

// HasState tells whether the handler may read state.
func (i *Invocation) HasState() bool {
	switch i.Row.Target.GetServiceType() {
	case storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:
		return true
	default:
		return false
	}
}

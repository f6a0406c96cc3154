package invocation

import (
	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// Live is what the leader's invoker knows of an invocation that it runs, beside the rows. It is a copy:
// any goroutine may read it. The messages in it are shared and never changed.
type Live struct {
	ID       id.Invocation
	InFlight bool   // an attempt is open
	Attempts uint32 // begun in this activation
	// Unix milliseconds; 0 if there is none.
	LastStart, NextRetry int64
	Deployment           id.Deployment // of the last attempt; zero before the first
	Server               string        // what the SDK of the last attempt called itself
	Failure              *storedv1.AttemptFailure
	// Awaiting is what the handler last said that it waits for, unless it sent something since.
	Awaiting *servicev1.Future
}

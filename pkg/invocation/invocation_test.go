package invocation_test

import (
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
)

func TestWhatATargetImplies(t *testing.T) {
	const (
		service  = storedv1.ServiceType_SERVICE_TYPE_SERVICE
		object   = storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT
		workflow = storedv1.ServiceType_SERVICE_TYPE_WORKFLOW
	)
	for _, test := range []struct {
		service          storedv1.ServiceType
		handler          storedv1.HandlerType
		exclusive, state bool
	}{
		{service, storedv1.HandlerType_HANDLER_TYPE_UNSPECIFIED, false, false},
		{object, storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE, true, true},
		{object, storedv1.HandlerType_HANDLER_TYPE_SHARED, false, true},
		{workflow, storedv1.HandlerType_HANDLER_TYPE_WORKFLOW, false, true},
		{workflow, storedv1.HandlerType_HANDLER_TYPE_SHARED, false, true},
	} {
		var i invocation.Invocation
		i.Row.Target = &storedv1.Target{ServiceType: test.service, HandlerType: test.handler}
		if i.Exclusive() != test.exclusive || i.HasState() != test.state {
			t.Errorf("%v %v: exclusive=%t state=%t", test.service, test.handler, i.Exclusive(), i.HasState())
		}
	}
}

func TestWhatAStatusImplies(t *testing.T) {
	for status, want := range map[storedv1.InvocationStatus]struct{ started, hidden bool }{
		storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED: {false, false},
		storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:   {false, false},
		storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED:   {true, false},
		storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED: {true, false},
		storedv1.InvocationStatus_INVOCATION_STATUS_PAUSED:    {true, false},
		storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED: {false, true},
	} {
		var i invocation.Invocation
		i.Row.Status = status
		if i.Started() != want.started || i.Hidden() != want.hidden {
			t.Errorf("%s: started=%t hidden=%t", status, i.Started(), i.Hidden())
		}
		if i.Row.CompletionRetentionMs = 1; i.Hidden() {
			t.Errorf("%s with retention is hidden", status)
		}
	}
}

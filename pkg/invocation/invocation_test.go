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

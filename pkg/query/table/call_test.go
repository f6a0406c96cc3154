package table

import (
	"strings"
	"testing"
	"time"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

func TestCallEntries(t *testing.T) {
	handlers := func(t storedv1.HandlerType, names ...string) (out []*storedv1.Handler) {
		for _, n := range names {
			out = append(out, &storedv1.Handler{Name: n, Type: t})
		}
		return out
	}
	registry := schema.NewRegistry(&storedv1.Schema{Deployments: []*storedv1.Deployment{{
		Id: make([]byte, 16),
		Services: []*storedv1.Service{
			{Name: "Plain", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Handlers: handlers(storedv1.HandlerType_HANDLER_TYPE_UNSPECIFIED, "do")},
			{Name: "Box", Type: storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, Handlers: append(
				handlers(storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE, "put"), handlers(storedv1.HandlerType_HANDLER_TYPE_SHARED, "look")...)},
			{Name: "Trip", Type: storedv1.ServiceType_SERVICE_TYPE_WORKFLOW, Handlers: handlers(storedv1.HandlerType_HANDLER_TYPE_WORKFLOW, "run")},
		},
	}}}, schema.Defaults{JournalRetention: 90 * time.Minute, IdempotencyRetention: time.Hour, WorkflowRetention: 1500 * time.Millisecond})
	key := "twice"
	for _, test := range []struct{ name, call, target, retentions string }{
		{"service", "Plain//do", `{"Service":{"name":"Plain","handler":"do","scope":null}}`, "5400 5400"},
		{"exclusive", "Box/b/put", `{"VirtualObject":{"name":"Box","key":"b","handler":"put","handler_ty":"Exclusive","scope":null}}`, "5400 5400"},
		{"shared", "Box/b/look", `{"VirtualObject":{"name":"Box","key":"b","handler":"look","handler_ty":"Shared","scope":null}}`, "5400 5400"},
		{"workflow", "Trip/t/run", `{"Workflow":{"name":"Trip","key":"t","handler":"run","handler_ty":"Workflow","scope":null}}`, "1 1"},
		{"with a key", "Plain//do twice", `{"Service":{"name":"Plain","handler":"do","scope":null}}`, "3600 3600"},
		{"removed", "Gone/g/do", `{"VirtualObject":{"name":"Gone","key":"g","handler":"do","scope":null}}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			call, idempotent := strings.CutSuffix(test.call, " "+key)
			parts := strings.Split(call, "/")
			m := &servicev1.CallCommand{ServiceName: parts[0], Key: parts[1], HandlerName: parts[2], InvocationIdNotificationIdx: 1, ResultCompletionId: 2}
			if idempotent {
				m.IdempotencyKey = &key
			}
			payload, err := m.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			r := entryRow{
				frame:    serviceproto.Frame{Type: serviceproto.TypeCall, Payload: payload},
				callee:   func(uint32) string { return "inv_x" },
				registry: registry,
			}
			d := r.decode()
			if want := strings.ReplaceAll(strings.TrimPrefix(call, "/"), "//", "/"); d.invokedTarget != want {
				t.Errorf("invoked target is %s, want %s", d.invokedTarget, want)
			}
			if want := `{"Command":{"Call":{"invocation_id":"inv_x","invocation_target":` + test.target + `,"invocation_id_completion_id":1,"result_completion_id":2}}}`; d.lite != want {
				t.Errorf("lite is\n%s, want\n%s", d.lite, want)
			}
			if !strings.Contains(d.full, `"invocation_target":`+test.target+`,"span_context":{"span_context":{`) {
				t.Errorf("full is %s", d.full)
			}
			kept := ""
			if completion, journal, ok := strings.Cut(test.retentions, " "); ok {
				kept = `"completion_retention_duration":{"secs":` + completion + `,"nanos":`
				if !strings.Contains(d.full, `,"journal_retention_duration":{"secs":`+journal+`,"nanos":`) {
					t.Errorf("full is %s", d.full)
				}
			}
			if !strings.Contains(d.full, kept) || kept == "" && strings.Contains(d.full, "retention") {
				t.Errorf("full is %s", d.full)
			}
		})
	}
}

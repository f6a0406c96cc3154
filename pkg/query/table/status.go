package table

import (
	"fmt"
	"strings"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/serviceproto"
)

// statusRow is an invocation with what its journal says.
type statusRow struct {
	*invocation.Invocation
	journal summary
}

// summary is what a journal says of an invocation, of those parts that are wanted.
type summary struct {
	entries, commands uint32
	first, last       int64 // times of the first and last row; 0 without rows
}

func (s *summary) add(row journal.Row) error {
	s.entries += row.Entries
	if s.first == 0 {
		s.first = row.Time
	}
	s.last = max(s.last, row.Time)
	for rest := row.Frames; len(rest) > 0; {
		f, after, ok, err := serviceproto.NextFrame(rest, noLimit)
		if err != nil || !ok {
			return errs.Newf(errs.Corrupt, "journal row at %d is cut: %w", row.First, err)
		}
		if f.Type.IsCommand() {
			s.commands++
		}
		rest = after
	}
	return nil
}

const completedStatus = "completed"

// statusNames are the stored statuses, as they are told.
var statusNames = map[storedv1.InvocationStatus]string{
	storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED: "scheduled",
	storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:   "inboxed",
	storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED:   "invoked",
	storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED: "suspended",
	storedv1.InvocationStatus_INVOCATION_STATUS_PAUSED:    "paused",
	storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED: completedStatus,
}

// serviceTypes are the types of services, as they are told.
var serviceTypes = map[storedv1.ServiceType]string{
	storedv1.ServiceType_SERVICE_TYPE_SERVICE:        "service",
	storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT: "virtual_object",
	storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:       "workflow",
}

var statusCells = []cell[statusRow]{
	numberOf("partition_key", func(r *statusRow) uint64 { return uint64(r.ID.PartitionKey()) }),
	textOf("id", func(r *statusRow) string { return r.ID.String() }),
	textOr("status", func(r *statusRow) string { return statusNames[r.Row.Status] }),
	{name: "completion_result", text: func(r *statusRow) (string, bool) {
		if r.Row.Result.GetFailure() != nil {
			return "failure", true
		}
		return "success", r.Row.Result != nil
	}},
	{name: "completion_failure", text: func(r *statusRow) (string, bool) {
		f := r.Row.Result.GetFailure()
		return fmt.Sprintf("[%d] %s", f.GetCode(), f.GetMessage()), f != nil
	}},
	textOf("target", func(r *statusRow) string { return targetText(r.Row.Target) }),
	textOf("target_service_name", func(r *statusRow) string { return r.Row.Target.GetService() }),
	{name: "target_service_key", text: func(r *statusRow) (string, bool) {
		return r.Row.Target.GetKey(), keyed(r.Row.Target)
	}},
	textOf("target_handler_name", func(r *statusRow) string { return r.Row.Target.GetHandler() }),
	textOr("target_service_ty", func(r *statusRow) string { return serviceTypes[r.Row.Target.GetServiceType()] }),
	{name: "idempotency_key", text: func(r *statusRow) (string, bool) {
		return r.Row.GetIdempotencyKey(), r.Row.IdempotencyKey != nil
	}},
	textOf("invoked_by", func(r *statusRow) string {
		switch {
		case len(r.Row.RestartedFrom) > 0:
			return "restart_as_new"
		case len(r.Row.CallerId) > 0:
			return "service"
		default:
			return "ingress"
		}
	}),
	{name: "restarted_from", text: func(r *statusRow) (string, bool) { return invocationText(r.Row.RestartedFrom) }},
	{name: "invoked_by_id", text: func(r *statusRow) (string, bool) { return invocationText(r.Row.CallerId) }},
	textOr("invoked_by_service_name", func(r *statusRow) string { return r.Row.CallerTarget.GetService() }),
	{name: "invoked_by_target", text: func(r *statusRow) (string, bool) {
		return targetText(r.Row.CallerTarget), r.Row.CallerTarget != nil
	}},
	{name: "pinned_deployment_id", text: func(r *statusRow) (string, bool) { return deploymentText(r.Row.Pin.GetDeployment()) }},
	{name: "pinned_service_protocol_version", number: func(r *statusRow) (uint64, bool) {
		return uint64(r.Row.Pin.GetProtocolVersion()), r.Row.Pin != nil
	}},
	{name: "trace_id", text: func(r *statusRow) (string, bool) { return traceID(r.Row.TraceParent) }},
	{name: "journal_size", number: func(r *statusRow) (uint64, bool) {
		return uint64(r.journal.entries), r.journal.entries > 0
	}},
	{name: "journal_commands_size", number: func(r *statusRow) (uint64, bool) {
		return uint64(r.journal.commands), r.journal.entries > 0
	}},
	millisOr("created_at", func(r *statusRow) int64 { return r.Row.CreatedAtMs }),
	millisOr("modified_at", func(r *statusRow) int64 { return max(r.Row.ModifiedAtMs, r.journal.last) }),
	millisOr("inboxed_at", func(r *statusRow) int64 {
		if r.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED {
			return r.Row.ModifiedAtMs
		}
		return 0
	}),
	millisOr("scheduled_at", func(r *statusRow) int64 {
		if r.Row.ExecuteAtMs != 0 {
			return r.Row.CreatedAtMs
		}
		return 0
	}),
	millisOr("scheduled_start_at", func(r *statusRow) int64 { return r.Row.ExecuteAtMs }),
	millisOr("running_at", runningAt),
	millisOr("completed_at", func(r *statusRow) int64 { return r.Row.CompletedAtMs }),
	numberOf("completion_retention", func(r *statusRow) uint64 { return uint64(r.Row.CompletionRetentionMs) }),
	numberOf("journal_retention", func(r *statusRow) uint64 { return uint64(r.Row.JournalRetentionMs) }),
	{name: "suspended_waiting_for_completions", uints: func(r *statusRow) ([]uint32, bool) {
		s, _ := awaited(r)
		return s.GetWaitingCompletions(), len(s.GetWaitingCompletions()) > 0
	}},
	{name: "suspended_waiting_for_signals", uints: func(r *statusRow) ([]uint32, bool) {
		s, _ := awaited(r)
		return s.GetWaitingSignals(), len(s.GetWaitingSignals()) > 0
	}},
	{name: "suspended_waiting_future_json", text: func(r *statusRow) (string, bool) {
		s, ok := awaited(r)
		if !ok {
			return "", false
		}
		return string(appendAwait(nil, s)), true
	}},
}

// runningAt is when the first attempt could begin: when the Input was written to the journal. Of one whose journal is
// gone only the earliest time that it can have been is known.
func runningAt(r *statusRow) int64 {
	switch {
	case r.Row.Activation == 0:
		return 0
	case r.journal.first != 0:
		return r.journal.first
	default:
		return max(r.Row.CreatedAtMs, r.Row.ExecuteAtMs)
	}
}

// targetText is a target as people write it.
func targetText(t *storedv1.Target) string {
	if keyed(t) {
		return t.GetService() + "/" + t.GetKey() + "/" + t.GetHandler()
	}
	return t.GetService() + "/" + t.GetHandler()
}

func keyed(t *storedv1.Target) bool {
	switch t.GetServiceType() {
	case storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:
		return true
	default:
		return false
	}
}

func invocationText(raw []byte) (string, bool) {
	var i id.Invocation
	if len(raw) != len(i) {
		return "", false
	}
	copy(i[:], raw)
	return i.String(), true
}

func deploymentText(raw []byte) (string, bool) {
	var d id.Deployment
	if len(raw) != len(d) {
		return "", false
	}
	copy(d[:], raw)
	return d.String(), true
}

// traceID is the second part of a W3C trace parent.
func traceID(parent string) (string, bool) {
	parts := strings.Split(parent, "-")
	if len(parts) < 4 {
		return "", false
	}
	return parts[1], true
}

// awaited is what a suspended invocation waits for.
func awaited(r *statusRow) (*servicev1.Suspension, bool) {
	if r.Row.Status != storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED || len(r.Row.Awaiting) == 0 {
		return nil, false
	}
	var s servicev1.Suspension
	if err := s.UnmarshalVT(r.Row.Awaiting[1:]); err != nil { // the first byte is the version; it was checked when it was stored
		return nil, false
	}
	return &s, true
}

// summaryColumns are those that need the journal.
var summaryColumns = []string{"journal_size", "journal_commands_size", "modified_at", "running_at"}

// statusFields are the fields of a stored invocation that columns are made of, by their numbers. A column that is not
// here may need any.
var statusFields = map[string][]int{
	"partition_key": {}, "id": {}, "status": {2}, "completion_result": {14}, "completion_failure": {14},
	"target": {3}, "target_service_name": {3}, "target_service_key": {3}, "target_handler_name": {3}, "target_service_ty": {3},
	"idempotency_key": {4}, "invoked_by": {16, 31}, "restarted_from": {31}, "invoked_by_id": {16}, "invoked_by_service_name": {17}, "invoked_by_target": {17},
	"pinned_deployment_id": {11}, "pinned_service_protocol_version": {11}, "trace_id": {18}, "journal_size": {}, "journal_commands_size": {},
	"created_at": {7}, "modified_at": {8}, "inboxed_at": {2, 8}, "scheduled_at": {7, 9}, "scheduled_start_at": {9}, "running_at": {7, 9, 10},
	"completed_at": {15}, "completion_retention": {5}, "journal_retention": {6},
	"suspended_waiting_for_completions": {2, 13}, "suspended_waiting_for_signals": {2, 13}, "suspended_waiting_future_json": {2, 13},
	"vqueue_id": {}, "scope": {}, "limit_key": {}, // nothing has them
}

func statusRows(in *input, yield func(*statusRow) error) error {
	summed := in.request.Wants(summaryColumns...)
	if top := in.request.Top; top != nil && top.Descending && !summed {
		in.backward = true // what is wanted comes first, and is all that is kept
	}
	in.active = !in.request.Admits("status", completedStatus)
	fields := []int{}
	for _, c := range in.request.Used() {
		of, known := statusFields[c]
		if !known {
			fields = nil
			break
		}
		fields = append(fields, of...)
	}
	return in.lives(fields, func(l *living) error {
		r := statusRow{Invocation: l.Invocation}
		if summed {
			if err := l.journal(r.journal.add); err != nil {
				return err
			}
		}
		return yield(&r)
	})
}

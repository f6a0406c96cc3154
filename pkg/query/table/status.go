package table

import (
	"errors"
	"fmt"
	"io"
	"strings"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/partitionstore"
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

// statusNames are the stored statuses, as they are told.
var statusNames = map[storedv1.InvocationStatus]string{
	storedv1.InvocationStatus_INVOCATION_STATUS_SCHEDULED: "scheduled",
	storedv1.InvocationStatus_INVOCATION_STATUS_INBOXED:   "inboxed",
	storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED:   "invoked",
	storedv1.InvocationStatus_INVOCATION_STATUS_SUSPENDED: "suspended",
	storedv1.InvocationStatus_INVOCATION_STATUS_PAUSED:    "paused",
	storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED: "completed",
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

func statusRows(in *input, yield func(*statusRow) error) error {
	summed := in.request.Wants(summaryColumns...)
	if ids := in.request.IDs("id", in.partition, in.partitions); ids != nil {
		return statusByID(in, ids, summed, yield)
	}
	rows := in.snap.Lives()
	return walk(rows, func() (statusRow, error) {
		inv, err := nextShown(rows)
		r := statusRow{Invocation: inv}
		if err != nil || !summed {
			return r, err
		}
		return r, r.journal.read(rows.NextJournal)
	}, yield)
}

func statusByID(in *input, ids []id.Invocation, summed bool, yield func(*statusRow) error) error {
	return in.each(ids, func(inv *invocation.Invocation) error {
		r := statusRow{Invocation: inv}
		if summed {
			rows := in.snap.Journal(inv, 0)
			err := r.journal.read(rows.Next)
			if cerr := rows.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				return err
			}
		}
		return yield(&r)
	})
}

// each calls f with those of the invocations that are shown.
func (in *input) each(ids []id.Invocation, f func(*invocation.Invocation) error) error {
	for _, i := range ids {
		inv, err := in.snap.Invocation(i)
		if err == nil && inv != nil && !inv.Hidden() {
			err = f(inv)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nextShown goes to the next invocation that is shown.
func nextShown(rows *partitionstore.LifeRows) (*invocation.Invocation, error) {
	for {
		if inv, err := rows.Next(); err != nil || !inv.Hidden() {
			return inv, err
		}
	}
}

// lives calls f with the invocations that a request names, or with all.
func (in *input) lives(f func(*invocation.Invocation) error) error {
	if ids := in.request.IDs("id", in.partition, in.partitions); ids != nil {
		return in.each(ids, f)
	}
	rows := in.snap.Lives()
	defer func() { _ = rows.Close() }() // read only
	for {
		inv, err := nextShown(rows)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(inv)
		}
		if err != nil {
			return err
		}
	}
}

// read sums all rows up.
func (s *summary) read(next func() (journal.Row, error)) error {
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.add(row); err != nil {
			return err
		}
	}
}

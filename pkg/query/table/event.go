package table

import (
	"strconv"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/serviceproto"
)

// eventRow is something that happened to an invocation beside its journal.
type eventRow struct {
	id    id.Invocation
	after uint32 // journal entry
	time  int64
	kind  string // TransientError, Paused
	last  *storedv1.AttemptFailure
}

var eventCells = []cell[eventRow]{
	numberOf("partition_key", func(r *eventRow) uint64 { return uint64(r.id.PartitionKey()) }),
	textOf("id", func(r *eventRow) string { return r.id.String() }),
	numberOf("after_journal_entry_index", func(r *eventRow) uint64 { return uint64(r.after) }),
	millisOr("appended_at", func(r *eventRow) int64 { return r.time }),
	textOf("event_type", func(r *eventRow) string { return r.kind }),
	textOf("event_json", eventJSON),
}

// eventRows has nothing to read yet: the store keeps no events.
func eventRows(*input, func(*eventRow) error) error { return nil }

// eventJSON is an event in the form of the contract: what is not known is left out.
func eventJSON(r *eventRow) string {
	b := appendJSON([]byte(`{"ty":`), r.kind)
	switch {
	case r.last == nil:
	case r.kind == "Paused":
		b = append(appendFailureMembers(append(b, `,"last_failure":{`...), r.last), '}')
	default:
		b = appendFailureMembers(append(b, ','), r.last)
	}
	return string(append(b, '}'))
}

func appendFailureMembers(b []byte, f *storedv1.AttemptFailure) []byte {
	b = strconv.AppendUint(append(b, `"error_code":`...), uint64(f.Code), 10)
	b = appendJSON(append(b, `,"error_message":`...), f.Message)
	if f.Stacktrace != "" {
		b = appendJSON(append(b, `,"error_stacktrace":`...), f.Stacktrace)
	}
	if f.DocCode != "" {
		b = appendJSON(append(b, `,"restate_doc_error_code":`...), f.DocCode)
	}
	if f.RelatedCommandIndex != nil {
		b = strconv.AppendUint(append(b, `,"related_command_index":`...), uint64(*f.RelatedCommandIndex), 10)
	}
	if f.GetRelatedCommandName() != "" {
		b = appendJSON(append(b, `,"related_command_name":`...), f.GetRelatedCommandName())
	}
	if f.RelatedCommandType != nil {
		b = appendJSON(append(b, `,"related_command_type":`...), serviceproto.Type(*f.RelatedCommandType).String())
	}
	return b
}

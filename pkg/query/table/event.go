package table

import (
	"errors"
	"io"
	"strconv"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/query/render"
	"reprise/pkg/serviceproto"
)

// eventRow is something that happened to an invocation beside its journal.
type eventRow struct {
	id id.Invocation
	*storedv1.JournalEvent
}

// eventTypes are the types of events, as they are told.
var eventTypes = map[storedv1.JournalEventType]string{
	storedv1.JournalEventType_JOURNAL_EVENT_TYPE_TRANSIENT_ERROR: "TransientError",
	storedv1.JournalEventType_JOURNAL_EVENT_TYPE_PAUSED:          "Paused",
}

var eventCells = []cell[eventRow]{
	numberOf("partition_key", func(r *eventRow) uint64 { return uint64(r.id.PartitionKey()) }),
	textOf("id", func(r *eventRow) string { return r.id.String() }),
	numberOf("after_journal_entry_index", func(r *eventRow) uint64 { return uint64(r.AfterEntry) }),
	millisOr("appended_at", func(r *eventRow) int64 { return r.AppendedAtMs }),
	textOf("event_type", func(r *eventRow) string { return eventTypes[r.Type] }),
	textOf("event_json", eventJSON),
}

func eventRows(in *input, yield func(*eventRow) error) error {
	return in.lives([]int{32}, func(l *living) error {
		if l.Row.Events == 0 {
			return nil
		}
		rows := in.snap.Events(l.Invocation)
		defer func() { _ = rows.Close() }() // read only
		for {
			_, e, err := rows.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := yield(&eventRow{l.ID, e}); err != nil {
				return err
			}
		}
	})
}

// eventJSON is an event in the form of the contract: what is not known is left out.
func eventJSON(r *eventRow) string {
	b := render.String([]byte(`{"ty":`), eventTypes[r.Type])
	switch {
	case r.Failure == nil:
	case r.Type == storedv1.JournalEventType_JOURNAL_EVENT_TYPE_PAUSED:
		b = append(appendFailureMembers(append(b, `,"last_failure":{`...), r.Failure), '}')
	default:
		b = appendFailureMembers(append(b, ','), r.Failure)
	}
	return string(append(b, '}'))
}

func appendFailureMembers(b []byte, f *storedv1.AttemptFailure) []byte {
	b = strconv.AppendUint(append(b, `"error_code":`...), uint64(f.Code), 10)
	b = render.String(append(b, `,"error_message":`...), f.Message)
	if f.Stacktrace != "" {
		b = render.String(append(b, `,"error_stacktrace":`...), f.Stacktrace)
	}
	if f.DocCode != "" {
		b = render.String(append(b, `,"restate_doc_error_code":`...), f.DocCode)
	}
	if f.RelatedCommandIndex != nil {
		b = strconv.AppendUint(append(b, `,"related_command_index":`...), uint64(*f.RelatedCommandIndex), 10)
	}
	if f.GetRelatedCommandName() != "" {
		b = render.String(append(b, `,"related_command_name":`...), f.GetRelatedCommandName())
	}
	if f.RelatedCommandType != nil {
		b = render.String(append(b, `,"related_command_type":`...), serviceproto.Type(*f.RelatedCommandType).String())
	}
	return b
}

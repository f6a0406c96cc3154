package table

import (
	"fmt"

	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/serviceproto"
)

var liveCells = []cell[invocation.Live]{
	numberOf("partition_key", func(l *invocation.Live) uint64 { return uint64(l.ID.PartitionKey()) }),
	textOf("id", func(l *invocation.Live) string { return l.ID.String() }),
	flagOf("in_flight", func(l *invocation.Live) bool { return l.InFlight }),
	numberOf("retry_count", func(l *invocation.Live) uint64 { return uint64(l.Attempts) }),
	millisOr("last_start_at", func(l *invocation.Live) int64 { return l.LastStart }),
	millisOr("next_retry_at", func(l *invocation.Live) int64 { return l.NextRetry }),
	{name: "last_attempt_deployment_id", text: func(l *invocation.Live) (string, bool) {
		return l.Deployment.String(), l.Deployment != (id.Deployment{})
	}},
	textOr("last_attempt_server", func(l *invocation.Live) string { return l.Server }),
	textOr("last_failure", lastFailure),
	textOr("last_failure_error_code", func(l *invocation.Live) string { return l.Failure.GetDocCode() }),
	{name: "last_failure_related_command_index", number: func(l *invocation.Live) (uint64, bool) {
		return uint64(l.Failure.GetRelatedCommandIndex()), l.Failure != nil && l.Failure.RelatedCommandIndex != nil
	}},
	textOr("last_failure_related_command_name", func(l *invocation.Live) string { return l.Failure.GetRelatedCommandName() }),
	{name: "last_failure_related_command_type", text: func(l *invocation.Live) (string, bool) {
		if l.Failure == nil || l.Failure.RelatedCommandType == nil {
			return "", false
		}
		return serviceproto.Type(*l.Failure.RelatedCommandType).String(), true
	}},
	{name: "last_awaiting_on_future_json", text: func(l *invocation.Live) (string, bool) {
		if l.Awaiting == nil {
			return "", false
		}
		return string(appendFuture(nil, l.Awaiting)), true
	}},
}

// lastFailure is the failure of the last attempt that failed: code and message, and the stack trace if there is one.
func lastFailure(l *invocation.Live) string {
	f := l.Failure
	if f == nil {
		return ""
	}
	text := fmt.Sprintf("[%d%s] %s", f.Code, statusName(f.Code), f.Message)
	if f.Stacktrace != "" {
		text += "\n" + f.Stacktrace
	}
	return text
}

func liveRows(in *input, yield func(*invocation.Live) error) error {
	for i := range in.live {
		if err := yield(&in.live[i]); err != nil {
			return err
		}
	}
	return nil
}

package command

import (
	"fmt"
	"strings"
	"time"
)

// invocationColumns are what invocationRow has; inv is sys_invocation and dp sys_deployment.
const invocationColumns = "inv.id, inv.target, inv.target_service_name, inv.target_service_key, inv.target_service_ty, inv.idempotency_key, " +
	"inv.status, inv.created_at, inv.modified_at, inv.scheduled_start_at, inv.completed_at, inv.completion_retention, inv.journal_size, " +
	"inv.pinned_deployment_id, inv.last_attempt_deployment_id, inv.last_attempt_server, " +
	"inv.retry_count, inv.last_start_at, inv.next_retry_at, inv.last_failure, inv.last_failure_error_code, " +
	"inv.last_failure_related_command_index, inv.last_failure_related_command_name, inv.last_failure_related_command_type, " +
	"inv.invoked_by, inv.invoked_by_id, inv.invoked_by_target, inv.invoked_by_subscription_id, inv.restarted_from, inv.trace_id, " +
	"inv.completion_result, inv.completion_failure, inv.suspended_waiting_future_json, inv.last_awaiting_on_future_json, " +
	"dp.id IS NOT NULL AS deployment_exists, dp.endpoint AS deployment_endpoint"

// invocationSource is where they come from. A deployment is where the invocation is pinned, or else was tried last.
const invocationSource = "sys_invocation inv LEFT JOIN sys_deployment dp ON dp.id = COALESCE(inv.pinned_deployment_id, inv.last_attempt_deployment_id)"

// invocationRow is what is known of an invocation, beside its journal.
type invocationRow struct {
	ID                string `json:"id"`
	Target            string `json:"target"`
	Service           string `json:"target_service_name"`
	Key               string `json:"target_service_key"`
	ServiceType       string `json:"target_service_ty"`
	IdempotencyKey    string `json:"idempotency_key"`
	Status            string `json:"status"`
	Created           when   `json:"created_at"`
	Modified          when   `json:"modified_at"`
	ScheduledStart    when   `json:"scheduled_start_at"`
	Completed         when   `json:"completed_at"`
	Retention         string `json:"completion_retention"`
	JournalSize       int    `json:"journal_size"`
	Pinned            string `json:"pinned_deployment_id"`
	LastDeployment    string `json:"last_attempt_deployment_id"`
	LastServer        string `json:"last_attempt_server"`
	Retries           int    `json:"retry_count"`
	LastStart         when   `json:"last_start_at"`
	NextRetry         when   `json:"next_retry_at"`
	LastFailure       string `json:"last_failure"`
	FailureCode       string `json:"last_failure_error_code"`
	FailedIndex       *int   `json:"last_failure_related_command_index"`
	FailedName        string `json:"last_failure_related_command_name"`
	FailedType        string `json:"last_failure_related_command_type"`
	InvokedBy         string `json:"invoked_by"`
	InvokedByID       string `json:"invoked_by_id"`
	InvokedByTarget   string `json:"invoked_by_target"`
	Subscription      string `json:"invoked_by_subscription_id"`
	RestartedFrom     string `json:"restarted_from"`
	Trace             string `json:"trace_id"`
	Result            string `json:"completion_result"`
	Failure           string `json:"completion_failure"`
	SuspendedOn       string `json:"suspended_waiting_future_json"`
	AwaitingOn        string `json:"last_awaiting_on_future_json"`
	DeploymentExists  bool   `json:"deployment_exists"`
	DeploymentAddress string `json:"deployment_endpoint"`
}

// when is a time of a row; zero if the column is null.
type when struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (w *when) UnmarshalJSON(b []byte) (err error) {
	w.Time, err = time.Parse(`"`+time.RFC3339Nano+`"`, string(b))
	return err
}

// stamp shows a time to the millisecond.
func (r *runner) stamp(w when) string {
	if r.time.Human() {
		return w.UTC().Format("2006-01-02 15:04:05.000 -07:00")
	}
	return w.UTC().Format(string(r.time))
}

// statusLine says how far an invocation is, in one line.
func (r *runner) statusLine(i *invocationRow) string {
	switch {
	case i.Status == "completed" && i.Result != "":
		return r.paint(statusColour(i), i.Status+" with "+i.Result)
	case i.Status == "running" && !i.LastStart.IsZero():
		return r.paint(green, i.Status) + " (" + r.since(i.LastStart.Time) + ")"
	case i.Status == "backing-off":
		line := fmt.Sprintf("%s (%s", r.paint(yellow, i.Status), times(i.Retries, "attempt")+" failed")
		if !i.NextRetry.IsZero() {
			line += ", next " + r.until(i.NextRetry.Time)
		}
		return line + ")"
	case i.Status == "scheduled" && !i.ScheduledStart.IsZero():
		return i.Status + " (starts " + r.until(i.ScheduledStart.Time) + ")"
	default:
		return r.paint(statusColour(i), i.Status) + " (since " + r.since(i.Modified.Time) + ")"
	}
}

func statusColour(i *invocationRow) colour {
	switch {
	case i.Result == "failure" || i.Status == "paused":
		return red
	case i.Status == "completed" || i.Status == "running":
		return green
	case i.Status == "backing-off" || i.Status == "suspended":
		return yellow
	default:
		return plain
	}
}

// times is "1 attempt" or "3 attempts".
func times(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// since is how long ago a time was.
func (r *runner) since(t time.Time) string { return humanDuration(r.env.Clock.Now().Sub(t)) }

// until is how far away a time is, or that it has passed.
func (r *runner) until(t time.Time) string {
	if d := t.Sub(r.env.Clock.Now()); d > 0 {
		return "in " + humanDuration(d)
	}
	return "now"
}

// caller says who made an invocation.
func (i *invocationRow) caller() string {
	switch {
	case i.InvokedByTarget != "":
		return i.InvokedByTarget + " " + i.InvokedByID
	case i.RestartedFrom != "":
		return "a restart of " + i.RestartedFrom
	case i.Subscription != "":
		return "subscription " + i.Subscription
	default:
		return i.InvokedBy
	}
}

// runsAt says where an invocation runs: where it has to, or where it was tried last.
func (r *runner) runsAt(i *invocationRow) string {
	which, how := i.Pinned, "[required]"
	if which == "" {
		which, how = i.LastDeployment, "[not pinned yet]"
	}
	if which == "" {
		return ""
	}
	line := which + " " + how
	if !i.DeploymentExists {
		return line + " " + r.paint(red, "[removed]")
	}
	if i.LastServer != "" {
		line += " using " + i.LastServer
	}
	return line
}

const (
	failureLinesMax = 3  // of a message in a list
	stackLinesMax   = 60 // of one in a description
)

// message is the text of a failure without what follows it: the stack, of which only linesMax lines are kept.
func message(text string, linesMax int) string {
	lines := strings.Split(strings.TrimRight(visible(text), "\n"), "\n")
	if len(lines) <= linesMax {
		return strings.Join(lines, "\n")
	}
	return strings.Join(lines[:linesMax], "\n") + fmt.Sprintf("\n... (%s)", times(len(lines)-linesMax, "more line"))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(visible(text), "\n")
	return line
}

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"reprise/pkg/id"
)

// journalEntry is an entry of a journal.
type journalEntry struct {
	Index         int    `json:"index"`
	Type          string `json:"entry_type"` // Command: Run, Notification: Run
	Name          string `json:"name"`
	Lite          string `json:"entry_lite_json"`
	InvokedID     string `json:"invoked_id"`
	InvokedTarget string `json:"invoked_target"`
	Appended      when   `json:"appended_at"`

	command  *liteCommand // of a command
	notified *liteNotification
}

// liteCommand is what the server tells of a command: each kind has some of it.
type liteCommand struct {
	Completion       *uint32                                        `json:"completion_id"`
	ResultCompletion *uint32                                        `json:"result_completion_id"`
	Key              string                                         `json:"key"`
	WakeUp           int64                                          `json:"wake_up_time"`
	InvokeTime       int64                                          `json:"invoke_time"`
	InvocationID     string                                         `json:"invocation_id"`
	InvocationTarget map[string]struct{ Name, Key, Handler string } `json:"invocation_target"`
	TargetID         string                                         `json:"target_invocation_id"`
	Awakeable        string                                         `json:"id"`
	Target           json.RawMessage                                `json:"target"`
	Result           json.RawMessage                                `json:"result"`
}

// liteNotification is what the server tells of a notification.
type liteNotification struct {
	ID struct {
		Completion  *uint32 `json:"CompletionId"`
		SignalIndex *uint32 `json:"SignalIndex"`
		SignalName  *string `json:"SignalName"`
	} `json:"id"`
	Result json.RawMessage `json:"result"`
}

// journalEvent is what happened beside the journal.
type journalEvent struct {
	After    int    `json:"after_journal_entry_index"`
	Appended when   `json:"appended_at"`
	Type     string `json:"event_type"`
	JSON     string `json:"event_json"`
}

// failedAttempt is the content of the event of one.
type failedAttempt struct {
	Code         int    `json:"error_code"`
	Message      string `json:"error_message"`
	Stack        string `json:"error_stacktrace"`
	Doc          string `json:"restate_doc_error_code"`
	CommandIndex *int   `json:"related_command_index"`
	CommandName  string `json:"related_command_name"`
	CommandType  string `json:"related_command_type"`
}

// failure is the failure that an event tells of.
func (e *journalEvent) failure() *failedAttempt {
	var f struct {
		failedAttempt
		Last *failedAttempt `json:"last_failure"`
	}
	if err := json.Unmarshal([]byte(e.JSON), &f); err != nil {
		return nil // of a kind that this program does not know
	}
	if f.Last != nil {
		return f.Last
	}
	if f.Message == "" && f.Code == 0 {
		return nil
	}
	return &f.failedAttempt
}

func reverse[T any](list []T) { slices.Reverse(list) }

func (r *runner) readJournal(ctx context.Context, which string) ([]journalEntry, error) {
	var entries []journalEntry
	if err := r.client.query(ctx, fmt.Sprintf(journalQuery, quote(which), journalMax), &entries); err != nil {
		return nil, err
	}
	reverse(entries)
	for i := range entries {
		entries[i].parse()
	}
	return entries, nil
}

// parse reads the JSON of an entry. What it does not know it leaves out.
func (e *journalEntry) parse() {
	var lite struct {
		Command      map[string]liteCommand
		Notification *liteNotification
	}
	if err := json.Unmarshal([]byte(e.Lite), &lite); err != nil {
		return
	}
	for _, c := range lite.Command {
		e.command = &c
	}
	e.notified = lite.Notification
}

// completion is the id of what a command waits for.
func (e *journalEntry) completion() (uint32, bool) {
	switch {
	case e.command == nil:
		return 0, false
	case e.command.ResultCompletion != nil:
		return *e.command.ResultCompletion, true
	case e.command.Completion != nil:
		return *e.command.Completion, true
	default:
		return 0, false
	}
}

// callee is the invocation that a call made, as far as it is known.
func (e *journalEntry) callee() string {
	if e.command != nil && e.command.InvocationID != "" {
		return e.command.InvocationID
	}
	return e.InvokedID
}

// called is whom a call is for.
func (e *journalEntry) called() string {
	if e.InvokedTarget != "" || e.command == nil {
		return e.InvokedTarget
	}
	for _, t := range e.command.InvocationTarget {
		if t.Key != "" {
			return t.Name + "/" + t.Key + "/" + t.Handler
		}
		return t.Name + "/" + t.Handler
	}
	return ""
}

// kind is Run in Command: Run.
func (e *journalEntry) kind() string {
	_, kind, _ := strings.Cut(e.Type, ": ")
	return kind
}

// wait is something that an invocation waits for.
type wait struct {
	entry  *journalEntry // the command
	signal string        // or a signal, in words
}

// firstAwakeable is the index of the first signal that is an awakeable; those before are the protocol's own.
const firstAwakeable = 17

// waits are what an invocation waits for: as the handler said, or else all that is not answered.
func (d *description) waits() (out []wait) {
	future := map[string]string{"suspended": d.SuspendedOn, "running": d.AwaitingOn}[d.Status]
	if future == "" {
		if d.Status != "running" && d.Status != "suspended" && d.Status != "paused" && d.Status != "backing-off" {
			return nil
		}
		for _, e := range d.open() {
			out = append(out, wait{entry: e})
		}
		return out
	}
	var tree any
	if err := json.Unmarshal([]byte(future), &tree); err != nil {
		return nil
	}
	awaited := futures{completions: map[uint32]bool{}}
	awaited.collect(tree)
	for i := range d.journal {
		if c, ok := d.journal[i].completion(); ok && awaited.completions[c] {
			out = append(out, wait{entry: &d.journal[i]})
			delete(awaited.completions, c)
		}
	}
	for _, s := range awaited.signals {
		if s >= firstAwakeable {
			out = append(out, wait{signal: "awakeable " + awakeableOf(d.ID, s)})
		}
	}
	for _, name := range awaited.names {
		out = append(out, wait{signal: fmt.Sprintf("signal %q", name)})
	}
	if n := len(awaited.completions); n > 0 {
		out = append(out, wait{signal: fmt.Sprintf("%s further up in its journal", times(n, "entry"))})
	}
	return out
}

func awakeableOf(invocation string, index uint32) string {
	i, err := id.ParseInvocation(invocation)
	if err != nil {
		return fmt.Sprintf("with index %d", index)
	}
	return id.FormatAwakeable(i, index)
}

// open are the commands without an answer.
func (d *description) open() (out []*journalEntry) {
	answered := map[uint32]bool{}
	for i := range d.journal {
		if n := d.journal[i].notified; n != nil && n.ID.Completion != nil {
			answered[*n.ID.Completion] = true
		}
	}
	for i := range d.journal {
		if c, ok := d.journal[i].completion(); ok && !answered[c] {
			out = append(out, &d.journal[i])
		}
	}
	return out
}

// futures are the leaves of what a handler awaits.
type futures struct {
	completions map[uint32]bool
	signals     []uint32
	names       []string
}

func (f *futures) collect(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			f.collect(item)
		}
	case map[string]any:
		for name, item := range v {
			n, isNumber := item.(float64)
			text, isText := item.(string)
			switch {
			case name == "CompletionId" && isNumber:
				f.completions[uint32(n)] = true
			case name == "SignalIndex" && isNumber:
				f.signals = append(f.signals, uint32(n))
			case name == "SignalName" && isText:
				f.names = append(f.names, text)
			default:
				f.collect(item)
			}
		}
	}
}

// millis is a time that an entry has.
func millis(ms int64) when { return when{time.UnixMilli(ms)} }

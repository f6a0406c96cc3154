package command

import (
	"fmt"
	"strings"
)

// explain says why an invocation is not done, or how it ended, and what can be done about it.
func (r *runner) explain(d *description, stackLines int) []string {
	lines := r.explainStatus(d)
	if f := r.failure(d, stackLines); f != "" && d.Status != "completed" {
		lines = append(lines, f)
	}
	if d.Pinned != "" && !d.DeploymentExists && d.Status != "completed" {
		lines = append(lines, r.paint(red, "Its deployment was removed: no attempt can run there.")+
			fmt.Sprintf(" Register the deployment again, or go on with the latest one:\n  reprise invocations resume %s --deployment latest", d.ID))
	}
	return lines
}

func (r *runner) explainStatus(d *description) []string {
	switch d.Status {
	case "completed":
		return r.explainEnd(d)
	case "pending":
		return r.explainPending(d)
	case "scheduled":
		return []string{"It starts at " + r.stamp(d.ScheduledStart) + ", " + r.until(d.ScheduledStart.Time) + "."}
	case "ready":
		return []string{"Its next attempt is about to start."}
	case "paused":
		return []string{fmt.Sprintf("It is paused since %s (%s): nothing happens until somebody resumes it.\n  reprise invocations resume %s",
			r.stamp(d.Modified), r.since(d.Modified.Time), d.ID)}
	case "backing-off":
		line := times(d.Retries, "attempt") + " failed."
		if !d.NextRetry.IsZero() {
			line += fmt.Sprintf(" The next one starts at %s, %s; at once with\n  reprise invocations resume %s", r.stamp(d.NextRetry), r.until(d.NextRetry.Time), d.ID)
		}
		return []string{line}
	case "running":
		line := fmt.Sprintf("An attempt runs since %s (%s)", r.stamp(d.LastStart), r.since(d.LastStart.Time))
		if d.Retries > 1 {
			line += fmt.Sprintf(", after %s that failed", times(d.Retries-1, "attempt"))
		}
		return append([]string{line + "."}, r.explainWaits(d)...)
	default:
		return append([]string{fmt.Sprintf("It is %s since %s (%s).", d.Status, r.stamp(d.Modified), r.since(d.Modified.Time))}, r.explainWaits(d)...)
	}
}

func (r *runner) explainEnd(d *description) []string {
	if d.Failure != "" {
		return []string{r.paint(red, "It failed: ") + message(d.Failure, stackLinesMax) + fmt.Sprintf("\n  reprise invocations restart-as-new %s", d.ID)}
	}
	return []string{"It ended with success."}
}

func (r *runner) explainPending(d *description) []string {
	line := "It waits for its turn: "
	if d.holder == nil {
		return []string{line + fmt.Sprintf("%s for %s wait longer, and nobody holds it.", times(int(d.ahead), "invocation"), visible(keyOf(d)))}
	}
	line += fmt.Sprintf("%s is held by %s %s, %s", visible(keyOf(d)), visible(d.holder.Target), d.holder.ID, r.statusLine(d.holder))
	if d.ahead > 0 {
		line += fmt.Sprintf("; %s longer", map[bool]string{true: "1 other waits", false: fmt.Sprintf("%d others wait", d.ahead)}[d.ahead == 1])
	}
	return []string{line + fmt.Sprintf(".\n  reprise invocations describe %s", d.holder.ID)}
}

func keyOf(d *description) string { return d.Service + "/" + d.Key }

// failure tells of the last failed attempt.
func (r *runner) failure(d *description, stackLines int) string {
	text, code, at := d.LastFailure, d.FailureCode, commandOf(d.FailedIndex, d.FailedType, d.FailedName)
	e := d.lastFailed()
	if text == "" { // the invoker knows nothing of it any more, but the journal may
		if e == nil {
			return ""
		}
		f := e.failure()
		text, code, at = fmt.Sprintf("[%d] %s", f.Code, f.Message), f.Doc, commandOf(f.CommandIndex, f.CommandType, f.CommandName)
		if f.Stack != "" {
			text += "\n" + f.Stack
		}
	}
	line := r.paint(red, "Last failure")
	switch {
	case e != nil:
		line += " (" + r.stamp(e.Appended) + ")"
	case d.Status == "backing-off" && !d.LastStart.IsZero():
		line += " (of the attempt that began " + r.stamp(d.LastStart) + ")"
	}
	if code != "" {
		line += " " + code
	}
	if at != "" {
		line += " in " + at
	}
	return line + ":\n" + indent(message(text, stackLines), "  ")
}

// lastFailed is the last event that tells of a failed attempt.
func (d *description) lastFailed() *journalEvent {
	for i := len(d.events) - 1; i >= 0; i-- {
		if d.events[i].failure() != nil {
			return &d.events[i]
		}
	}
	return nil
}

// commandOf names the command that a failure is about.
func commandOf(index *int, kind, name string) string {
	var parts []string
	if index != nil {
		parts = append(parts, fmt.Sprintf("command %d", *index))
	}
	if kind != "" {
		parts = append(parts, kind)
	}
	if name != "" {
		parts = append(parts, "["+visible(name)+"]")
	}
	return strings.Join(parts, " ")
}

// explainWaits lists what an invocation waits for.
func (r *runner) explainWaits(d *description) []string {
	waits := d.waits()
	if len(waits) == 0 {
		return []string{"Nothing in its journal is open: its code runs, or it waits for an awakeable or a signal."}
	}
	lines := "It waits for:"
	for _, w := range waits {
		if w.entry == nil {
			lines += "\n  - " + visible(w.signal)
			continue
		}
		lines += fmt.Sprintf("\n  - #%d %s", w.entry.Index, r.entryText(w.entry))
		if callee, ok := d.callees[w.entry.callee()]; ok {
			lines += ", which is " + r.statusLine(&callee)
			if callee.LastFailure != "" && callee.Status != "completed" {
				lines += ": " + firstLine(callee.LastFailure)
			}
		}
	}
	return []string{lines}
}

// entryText is an entry in a line: Sleep [nap] until ...
func (r *runner) entryText(e *journalEntry) string {
	text := e.kind()
	if e.Name != "" {
		text += " [" + visible(e.Name) + "]"
	}
	c := e.command
	if c == nil {
		return text
	}
	switch {
	case c.WakeUp > 0:
		text += fmt.Sprintf(" until %s (%s)", r.stamp(millis(c.WakeUp)), r.until(millis(c.WakeUp).Time))
	case e.called() != "":
		text += " " + visible(e.called()) + " " + e.callee()
		if c.InvokeTime > 0 {
			text += fmt.Sprintf(" at %s (%s)", r.stamp(millis(c.InvokeTime)), r.until(millis(c.InvokeTime).Time))
		}
	case c.Key != "":
		text += " key " + visible(c.Key)
	case c.TargetID != "":
		text += " " + c.TargetID
	case c.Awakeable != "":
		text += " " + c.Awakeable
	case len(c.Target) > 0:
		text += " " + visible(string(c.Target))
	}
	return text
}

// showJournal draws the journal as a tree, with what happened beside it.
func (r *runner) showJournal(d *description, entries int) {
	by := "[Ingress]"
	switch {
	case d.InvokedByTarget != "":
		by = visible(d.InvokedByTarget) + " " + d.InvokedByID
	case d.InvokedBy != "" && d.InvokedBy != "ingress":
		by = "[" + visible(d.caller()) + "]"
	}
	r.printf("%s\n └──(this)─> %s\n", by, visible(d.Target))
	shown := d.journal[max(0, len(d.journal)-entries):]
	if len(shown) > 0 && shown[0].Index > 0 {
		r.printf("     ├──── ... %s before\n", times(shown[0].Index, "entry"))
	}
	open := map[int]bool{}
	for _, w := range d.waits() {
		if w.entry != nil {
			open[w.entry.Index] = true
		}
	}
	mark := "  ← waits for it"
	if d.Status != "running" && d.Status != "suspended" {
		mark = "  ← not done"
	}
	asked := d.askers()
	events := d.events
	for i := range shown {
		e := &shown[i]
		line := fmt.Sprintf("#%d [%s] %s", e.Index, r.stamp(e.Appended), r.entryLine(e, asked))
		if open[e.Index] {
			line += r.paint(yellow, mark)
		}
		r.printf("     ├──── %s\n", line)
		for len(events) > 0 && events[0].After <= e.Index {
			r.showEvent(&events[0])
			events = events[1:]
		}
	}
	for i := range events {
		r.showEvent(&events[i])
	}
	r.printf("     └────>> %s\n", r.paint(statusColour(&d.invocationRow), d.Status))
}

// askers are the commands by the completions that they wait for.
func (d *description) askers() map[uint32]int {
	out := map[uint32]int{}
	for i := range d.journal {
		if c, ok := d.journal[i].completion(); ok {
			out[c] = d.journal[i].Index
		}
	}
	return out
}

// entryLine is an entry in the tree: Command: Run [name], or Notification: Run for #1.
func (r *runner) entryLine(e *journalEntry, asked map[uint32]int) string {
	if e.notified == nil {
		class, _, _ := strings.Cut(e.Type, ": ")
		line := class + ": " + r.entryText(e)
		if e.command != nil && strings.Contains(string(e.command.Result), "Failure") {
			line += r.paint(red, " failure")
		}
		return line
	}
	line := e.Type
	switch n := e.notified.ID; {
	case n.Completion != nil:
		if index, ok := asked[*n.Completion]; ok {
			line += fmt.Sprintf(" for #%d", index)
		}
	case n.SignalIndex != nil:
		line += fmt.Sprintf(" %d", *n.SignalIndex)
	case n.SignalName != nil:
		line += " " + visible(*n.SignalName)
	}
	if strings.Contains(string(e.notified.Result), "Failure") {
		line += r.paint(red, " failure")
	}
	return line
}

func (r *runner) showEvent(e *journalEvent) {
	line := e.Type
	if f := e.failure(); f != nil {
		if f.Doc != "" {
			line += " " + f.Doc
		}
		line += fmt.Sprintf(" [%d] %s", f.Code, firstLine(f.Message))
		if at := commandOf(f.CommandIndex, f.CommandType, f.CommandName); at != "" {
			line += " in " + at
		}
	}
	r.printf("     │     %s\n", r.paint(red, "✗")+" ["+r.stamp(e.Appended)+"] "+line)
}

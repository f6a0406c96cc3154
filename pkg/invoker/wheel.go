package invoker

// list is a list of runs: a slot of the wheel, or the queue. A run is in one list at a time.
type list struct{ first, last *run }

func (l *list) push(r *run) {
	r.in, r.prev, r.next = l, l.last, nil
	if l.last != nil {
		l.last.next = r
	} else {
		l.first = r
	}
	l.last = r
}

func (l *list) pop() *run {
	r := l.first
	if r != nil {
		r.unlink()
	}
	return r
}

// unlink takes the run out of the list it is in, if any.
func (r *run) unlink() {
	l := r.in
	if l == nil {
		return
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		l.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	} else {
		l.last = r.prev
	}
	r.in, r.prev, r.next = nil, nil, nil
}

// wheelSlots times tickMillis is how far ahead a run fires without going around.
const wheelSlots = 1024

// wheel holds runs until their due time, with a grain of tickMillis.
type wheel struct {
	slots [wheelSlots]list
	due   list  // scratch of advance
	at    int64 // the last tick that was handled
}

func tickOf(millis int64) int64 { return (millis + tickMillis - 1) / tickMillis }

// arm (re)arms r for a time; it fires at or up to two ticks after it.
func (w *wheel) arm(r *run, dueMillis int64) {
	r.unlink()
	r.due = dueMillis
	tick := min(max(tickOf(dueMillis), w.at+1), w.at+wheelSlots)
	w.slots[tick%wheelSlots].push(r)
}

// advance fires what is due by now. fire may arm and unlink runs.
func (w *wheel) advance(nowMillis int64, fire func(*run)) {
	now := nowMillis / tickMillis
	if now-w.at > wheelSlots { // the clock jumped: one turn visits all
		w.at = now - wheelSlots
	}
	for w.at < now {
		w.at++
		slot := &w.slots[w.at%wheelSlots]
		for r := slot.pop(); r != nil; r = slot.pop() {
			w.due.push(r)
		}
		for r := w.due.pop(); r != nil; r = w.due.pop() {
			if r.due > nowMillis {
				w.arm(r, r.due) // from a later round
				continue
			}
			fire(r)
		}
	}
}

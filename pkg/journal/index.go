package journal

import "slices"

// Index is what the rows of a journal imply. Equal rows give an equal Index. The zero Index is that of an empty journal.
type Index struct {
	Entries     uint32 // commands and notifications
	Commands    uint32
	LastTime    int64  // of the newest row, Unix milliseconds
	LastAttempt uint32 // the highest that sent a row
	Bytes       int64  // of frames

	completions outcomes
	signals     outcomes
	named       map[string]Outcome

	sleeps    []Sleep // with all that are open, in the order of the journal
	sleepsMax int     // how many there may be before those that are not are taken out
}

// Sleep is a command that a timer completes.
type Sleep struct {
	Due        int64 // Unix milliseconds
	Completion uint32
}

// Outcome is how a notification resolves an await; 0 is none yet.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = 1
	Failed  Outcome = 2
)

// Add adds the next row. Nothing of the row is kept. An error leaves the Index as it was.
func (x *Index) Add(row Row) error {
	scan := scanner{rest: row.Frames}
	for scan.next() { // all or nothing: look before anything changes
	}
	if err := scan.check(row); err != nil {
		return err
	}
	scan = scanner{rest: row.Frames}
	for scan.next() {
		x.note(&scan)
	}
	x.Entries += scan.entries
	x.Commands += scan.commands
	x.Bytes += int64(len(row.Frames))
	x.LastTime = row.Time
	x.LastAttempt = max(x.LastAttempt, row.Attempt)
	return nil
}

// note remembers how the notification under the scanner resolves what; the first one for an id counts.
func (x *Index) note(s *scanner) {
	if !s.notification {
		if s.isSleep {
			x.addSleep(s.sleep)
		}
		return
	}
	outcome := Success
	if s.failed {
		outcome = Failed
	}
	switch s.id {
	case idCompletion:
		x.completions.put(s.number, outcome)
	case idSignal:
		x.signals.put(s.number, outcome)
	case idName:
		if x.named == nil {
			x.named = map[string]Outcome{}
		}
		if _, ok := x.named[string(s.name)]; !ok {
			x.named[string(s.name)] = outcome
		}
	}
}

// sleepsKept is up to how many sleeps an index never looks for those that are over.
const sleepsKept = 8

func (x *Index) addSleep(s Sleep) {
	if len(x.sleeps) >= max(x.sleepsMax, sleepsKept) {
		x.sleeps = x.OpenSleeps()
		x.sleepsMax = 2 * len(x.sleeps)
	}
	x.sleeps = append(x.sleeps, s)
}

// OpenSleeps returns the sleeps that a timer may wait for, in the order of the journal, borrowed until a row is
// added: those that are not completed, and those that something else of the same id completed before their time.
func (x *Index) OpenSleeps() []Sleep {
	x.sleeps = slices.DeleteFunc(x.sleeps, func(s Sleep) bool { return s.Due <= x.LastTime && x.Completion(s.Completion) != 0 })
	return x.sleeps
}

// NoteCompletion has the index know a completion whose row is yet to be added.
func (x *Index) NoteCompletion(id uint32, o Outcome) { x.completions.put(id, o) }

// NoteSignal does the same for a signal by index.
func (x *Index) NoteSignal(index uint32, o Outcome) { x.signals.put(index, o) }

// Completion tells how the command with the completion id was resolved.
func (x *Index) Completion(id uint32) Outcome { return x.completions.get(id) }

// Signal tells how the signal with the index was resolved.
func (x *Index) Signal(index uint32) Outcome { return x.signals.get(index) }

// NamedSignal tells how the signal with the name was resolved.
func (x *Index) NamedSignal(name string) Outcome { return x.named[name] }

// outcomesGap is how far beyond the last one an id may be to stand in the slice.
const outcomesGap = 256

// outcomes maps ids to outcomes. SDKs count ids up from 1, so a slice holds them; a map holds the rest.
type outcomes struct {
	low  []Outcome
	high map[uint32]Outcome
}

func (o *outcomes) get(id uint32) Outcome {
	if uint64(id) < uint64(len(o.low)) && o.low[id] != 0 {
		return o.low[id]
	}
	return o.high[id]
}

func (o *outcomes) put(id uint32, v Outcome) {
	if o.get(id) != 0 {
		return
	}
	if uint64(id) >= uint64(len(o.low))+outcomesGap {
		if o.high == nil {
			o.high = map[uint32]Outcome{}
		}
		o.high[id] = v
		return
	}
	for uint64(len(o.low)) <= uint64(id) {
		o.low = append(o.low, 0)
	}
	o.low[id] = v
}

package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/serviceproto"
)

// step is the journal row that a Step record becomes: the record's frames as they came, unless a
// completion was put between them or a frame was left out.
type step struct {
	inv     *invocation.Invocation // nil: no Step is applied
	index   *journal.Index
	callees []*storedv1.Callee // of the calls to come
	seen    uint32             // notifications that the attempt began with

	body    []byte // frames of the record
	kept    int    // body[:kept] is in the row, unless rebuilt
	row     []byte // the row's frames, if rebuilt
	rebuilt bool

	entries uint32
	output  []byte   // payload of the last Output, borrowed
	again   []uint32 // run completions that were there before
}

// keep puts the frame that ends at end of the body into the row.
func (s *step) keep(f serviceproto.Frame, end int) {
	s.entries++
	if s.rebuilt {
		s.row = append(s.row, f.Raw...)
		return
	}
	s.kept = end
}

// rebuild makes the row one of its own, with room for that many bytes beside what came.
func (s *step) rebuild(extra int) {
	if s.rebuilt {
		return
	}
	s.rebuilt = true
	s.row = append(make([]byte, 0, len(s.body)+extra), s.body[:s.kept]...)
}

// frames are those of the row so far.
func (s *step) frames() []byte {
	if s.rebuilt {
		return s.row
	}
	return s.body[:s.kept]
}

// rebuildRoom is the usual size of completions that are put between the frames of a record.
const rebuildRoom = 128

// insert puts a completion behind the frames so far; frame is copied.
func (s *step) insert(n serviceproto.Notification, frame []byte) {
	s.rebuild(len(frame) + rebuildRoom)
	s.row = append(s.row, frame...)
	s.entries++
	s.note(n)
}

// note has the journal's index know a notification before the row is stored.
func (s *step) note(n serviceproto.Notification) {
	outcome := journal.Success
	if n.Failed {
		outcome = journal.Failed
	}
	switch {
	case !n.HasSignal:
		s.index.NoteCompletion(n.CompletionID, outcome)
	case n.SignalIndex != 0:
		s.index.NoteSignal(n.SignalIndex, outcome)
	}
}

// notifySelf takes what the invocation brought about for itself.
func (s *step) notifySelf(n serviceproto.Notification, frame []byte) {
	if !resolved(s.index, n) {
		s.insert(n, frame)
	}
}

// completed inserts a completion of a command of this step that is due at once.
func (s *step) completed(id uint32, frame []byte) {
	s.notifySelf(serviceproto.Notification{CompletionID: id}, frame)
}

// answered inserts the completion that a result is.
func (s *step) answered(t serviceproto.Type, id uint32, result *storedv1.Result) {
	n := serviceproto.Notification{CompletionID: id, Failed: result.GetFailure() != nil}
	s.notifySelf(n, serviceproto.AppendResult(nil, t, id, result))
}

// sink is where the completion of a command of this step is to go once it is there.
func (s *step) sink(completion uint32) *storedv1.Sink {
	return &storedv1.Sink{Invocation: idBytes(s.inv.ID), Incarnation: s.inv.Row.Incarnation, CompletionId: completion}
}

// storeRow stores the row, tells the attempt that its record was applied, and hands it the notifications.
func (a *application) storeRow() error {
	s := &a.step
	row := journal.Row{First: s.index.Entries, Entries: s.entries, Time: a.now, Attempt: a.rec.Attempt, Frames: s.frames()}
	if row.Entries > 0 {
		s.inv.Input = nil
		if err := a.st.AppendJournal(s.inv, row); err != nil {
			return err
		}
	}
	a.emit(Effect{
		Kind: EffectStepped, ID: a.rec.ID, Activation: a.rec.Activation, Attempt: a.rec.Attempt, Entries: s.index.Commands,
	})
	a.forward(row.First, row.Frames)
	return a.forwardAgain(s.again)
}

// forward emits each run of notifications between the commands of a row.
func (a *application) forward(first uint32, frames []byte) {
	from, entries, at := 0, uint32(0), 0
	flush := func() {
		if entries > 0 {
			a.emit(Effect{
				Kind: EffectForward, ID: a.step.inv.ID, Activation: a.rec.Activation,
				First: first, Entries: entries, Frames: frames[from:at:at],
			})
		}
	}
	for rest := frames; ; {
		f, next, ok, err := serviceproto.NextFrame(rest, noLimit)
		if err != nil || !ok { // the end: the row was made of whole frames
			break
		}
		if f.Type.IsNotification() {
			if entries == 0 {
				from = at
			}
			entries++
		} else {
			flush()
			first, entries = first+entries+1, 0
		}
		at += len(f.Raw)
		rest = next
	}
	flush()
}

// forwardAgain emits the first completions of ids, for an attempt that proposed others. They are told to
// stand at the end of the journal, where the attempt cannot have seen them.
func (a *application) forwardAgain(ids []uint32) error {
	if len(ids) == 0 {
		return nil
	}
	first := make(map[uint32][]byte, len(ids))
	for _, id := range ids {
		first[id] = nil
	}
	err := a.st.JournalRows(a.step.inv, func(row journal.Row) error {
		eachFrame(row.Frames, func(f serviceproto.Frame) {
			if !f.Type.IsNotification() {
				return
			}
			n, err := serviceproto.ScanNotification(f)
			if err != nil || n.HasSignal {
				return
			}
			if found, wanted := first[n.CompletionID]; wanted && found == nil {
				first[n.CompletionID] = append([]byte{}, f.Raw...)
			}
		})
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		a.emit(Effect{
			Kind: EffectForward, ID: a.step.inv.ID, Activation: a.rec.Activation,
			First: a.step.index.Entries, Entries: 1, Frames: first[id],
		})
	}
	return nil
}

// eachFrame calls f with each whole frame.
func eachFrame(frames []byte, f func(serviceproto.Frame)) {
	for {
		frame, rest, ok, err := serviceproto.NextFrame(frames, noLimit)
		if err != nil || !ok {
			return
		}
		f(frame)
		frames = rest
	}
}

// lastOutput finds the result of an invocation that ends without an Output in the same record.
func (a *application) lastOutput() (payload []byte, err error) {
	err = a.st.JournalRows(a.step.inv, func(row journal.Row) error {
		eachFrame(row.Frames, func(f serviceproto.Frame) {
			if f.Type == serviceproto.TypeOutput {
				payload = append([]byte{}, f.Payload...)
			}
		})
		return nil
	})
	return payload, err
}

package table

import (
	"math"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

// noLimit is for frames that are stored: their size was checked before.
const noLimit = math.MaxUint32

// journalVersion is what the tables say of all our journals.
const journalVersion = 2

// entryRow is an entry of a journal.
type entryRow struct {
	id    id.Invocation
	index uint32
	time  int64
	frame serviceproto.Frame
	// callee returns the invocation that was made for the call whose id has this completion id.
	callee   func(completion uint32) string
	registry *schema.Registry
}

var journalCells = []cell[entryRow]{
	numberOf("partition_key", func(r *entryRow) uint64 { return uint64(r.id.PartitionKey()) }),
	textOf("id", func(r *entryRow) string { return r.id.String() }),
	numberOf("index", func(r *entryRow) uint64 { return uint64(r.index) }),
	textOf("entry_type", func(r *entryRow) string { return entryType(r.frame.Type) }),
	textOr("name", func(r *entryRow) string { return r.decode().name }),
	textOr("invoked_id", func(r *entryRow) string { return r.decode().invokedID }),
	textOr("invoked_target", func(r *entryRow) string { return r.decode().invokedTarget }),
	millisOr("sleep_wakeup_at", func(r *entryRow) int64 { return r.decode().wakeUp }),
	textOr("promise_name", func(r *entryRow) string { return r.decode().promise }),
	{name: "raw", bytes: func(r *entryRow) ([]byte, bool) { return r.frame.Payload, true }},
	numberOf("raw_length", func(r *entryRow) uint64 { return uint64(len(r.frame.Payload)) }),
	numberOf("version", func(*entryRow) uint64 { return journalVersion }),
	textOr("entry_json", func(r *entryRow) string { return r.decode().full }),
	textOr("entry_lite_json", func(r *entryRow) string { return r.decode().lite }),
	millisOr("appended_at", func(r *entryRow) int64 { return r.time }),
}

func journalRows(in *input, yield func(*entryRow) error) error {
	return in.lives([]int{}, func(l *living) error { return in.entries(l, yield) })
}

// entries yields the entries of one journal.
func (in *input) entries(l *living, yield func(*entryRow) error) error {
	var callees map[uint32]string
	r := entryRow{id: l.ID, registry: in.registry, callee: func(completion uint32) string {
		if callees == nil {
			callees = in.callees(l.Invocation)
		}
		return callees[completion]
	}}
	return l.journal(func(row journal.Row) error {
		r.time, r.index = row.Time, row.First
		for rest := row.Frames; len(rest) > 0; r.index++ {
			f, after, ok, err := serviceproto.NextFrame(rest, noLimit)
			if err != nil || !ok {
				return errs.Newf(errs.Corrupt, "journal of %s, row at %d is cut: %w", l.ID, row.First, err)
			}
			rest, r.frame = after, f
			if err := yield(&r); err != nil {
				return err
			}
		}
		return nil
	})
}

// callees reads which invocations the calls of a journal made: they are told in entries after the calls.
func (in *input) callees(inv *invocation.Invocation) map[uint32]string {
	found := map[uint32]string{}
	rows := in.snap.Journal(inv, 0)
	defer func() { _ = rows.Close() }() // read only
	for {
		row, err := rows.Next()
		if err != nil {
			return found // the walk that asks has the same rows before it, and reports what is wrong
		}
		for rest := row.Frames; len(rest) > 0; {
			f, after, ok, err := serviceproto.NextFrame(rest, noLimit)
			if err != nil || !ok {
				return found
			}
			rest = after
			var n servicev1.Notification
			if f.Type == serviceproto.TypeCallInvocationIDCompletion && n.UnmarshalVT(f.Payload) == nil {
				found[n.GetCompletionId()] = n.GetInvocationId()
			}
		}
	}
}

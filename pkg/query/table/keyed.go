package table

import (
	"unicode/utf8"

	"reprise/pkg/id"
	"reprise/pkg/partitionstore"
)

// lockRow is a lock that is held.
type lockRow struct {
	service, key string
	holder       id.Invocation
}

var lockCells = []cell[lockRow]{
	numberOf("partition_key", func(r *lockRow) uint64 { return uint64(id.Hash(r.key)) }),
	textOf("service_name", func(r *lockRow) string { return r.service }),
	textOf("service_key", func(r *lockRow) string { return r.key }),
	textOf("invocation_id", func(r *lockRow) string { return r.holder.String() }),
}

func lockRows(in *input, yield func(*lockRow) error) error {
	rows := in.snap.Locks(in.object())
	return walk(rows, func() (r lockRow, err error) {
		r.service, r.key, r.holder, err = rows.Next()
		return r, err
	}, yield)
}

var inboxCells = []cell[partitionstore.Queued]{
	numberOf("partition_key", func(q *partitionstore.Queued) uint64 { return uint64(id.Hash(q.Key)) }),
	textOf("service_name", func(q *partitionstore.Queued) string { return q.Service }),
	textOf("service_key", func(q *partitionstore.Queued) string { return q.Key }),
	textOf("id", func(q *partitionstore.Queued) string { return q.ID.String() }),
	numberOf("sequence_number", func(q *partitionstore.Queued) uint64 { return q.Position }),
}

func inboxRows(in *input, yield func(*partitionstore.Queued) error) error {
	rows := in.snap.Queues(in.object())
	return walk(rows, func() (partitionstore.Queued, error) {
		for {
			if q, err := rows.Next(); err != nil || !q.IsChange() {
				return q, err
			}
		}
	}, yield)
}

// stateRow is one entry of user state, borrowed.
type stateRow struct {
	service, key string
	entry        partitionstore.StateEntry
}

var stateCells = []cell[stateRow]{
	numberOf("partition_key", func(r *stateRow) uint64 { return uint64(id.Hash(r.key)) }),
	textOf("service_name", func(r *stateRow) string { return r.service }),
	textOf("service_key", func(r *stateRow) string { return r.key }),
	{name: "key", text: func(r *stateRow) (string, bool) { return utf8Text(r.entry.Key) }},
	numberOf("key_length", func(r *stateRow) uint64 { return uint64(len(r.entry.Key)) }),
	{name: "value_utf8", text: func(r *stateRow) (string, bool) { return utf8Text(r.entry.Value) }},
	{name: "value", bytes: func(r *stateRow) ([]byte, bool) { return r.entry.Value, true }},
	numberOf("value_length", func(r *stateRow) uint64 { return uint64(len(r.entry.Value)) }),
}

// utf8Text is NULL for what is no text.
func utf8Text(b []byte) (string, bool) { return string(b), utf8.Valid(b) }

func stateRows(in *input, yield func(*stateRow) error) error {
	rows := in.snap.UserStates(in.object())
	return walk(rows, func() (r stateRow, err error) {
		r.service, r.key, r.entry, err = rows.Next()
		return r, err
	}, yield)
}

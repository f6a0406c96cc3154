package table

import (
	"errors"
	"io"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
	"reprise/pkg/journal"
	"reprise/pkg/partitionstore"
)

// living is an invocation that is shown, and the way to its journal.
type living struct {
	*invocation.Invocation
	in   *input
	rows *partitionstore.LifeRows // that stand on it; nil if it was asked for by its id
}

// shownFields are those that say whether an invocation is shown: status and completion retention.
var shownFields = []int{2, 5}

// lives calls f with the invocations that a request names, or with all; those that are hidden are left out. Of all,
// only the named fields are read, or all fields if that is nil. What f gets is borrowed.
func (in *input) lives(fields []int, f func(*living) error) (err error) {
	if ids := in.request.IDs("id", in.partition, in.partitions); ids != nil {
		return in.named(ids, f)
	}
	var rows *partitionstore.LifeRows
	switch {
	case fields == nil:
		rows = in.snap.Lives()
	default:
		rows = in.snap.LivesWith(partitionstore.FieldsOf(append(fields, shownFields...)...))
	}
	if in.backward {
		rows.Backward()
	}
	if in.active {
		rows.OnlyActive(in.snap)
	}
	defer errs.CloseInto(&err, rows)
	for {
		inv, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && !inv.Hidden() {
			err = f(&living{inv, in, rows})
		}
		if err != nil {
			return err
		}
	}
}

func (in *input) named(ids []id.Invocation, f func(*living) error) error {
	for _, i := range ids {
		inv, err := in.snap.Invocation(i)
		if err == nil && inv != nil && !inv.Hidden() {
			err = f(&living{inv, in, nil})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// journal calls f with the rows of the journal, each borrowed. It is called once.
func (l *living) journal(f func(journal.Row) error) (err error) {
	if l.rows != nil {
		return eachRow(l.rows.NextJournal, f)
	}
	rows := l.in.snap.Journal(l.Invocation, 0)
	defer errs.CloseInto(&err, rows)
	return eachRow(rows.Next, f)
}

func eachRow(next func() (journal.Row, error), f func(journal.Row) error) error {
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f(row)
		}
		if err != nil {
			return err
		}
	}
}

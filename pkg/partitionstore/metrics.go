package partitionstore

import (
	"github.com/cockroachdb/pebble/v2"

	"reprise/pkg/id"
	"reprise/pkg/invocation"
)

// What the owner of a store reads and writes is measured here: get, seek and write. What others read from snapshots is not.

// get copies the value of a key.
func (s *Store) get(r pebble.Reader, key []byte) (value []byte, found bool, err error) {
	began := s.host.Clock.Now()
	value, found, err = get(r, key)
	s.stat.Got(len(value), s.host.Clock.Now().Sub(began))
	return value, found, err
}

// scan calls f for the rows with a prefix.
func (s *Store) scan(r pebble.Reader, prefix []byte, f func(k, v []byte) error) error {
	began, sought := s.host.Clock.Now(), false
	first := func() {
		if !sought {
			sought = true
			s.stat.Sought(s.host.Clock.Now().Sub(began))
		}
	}
	err := scan(r, prefix, func(k, v []byte) error {
		first()
		return f(k, v)
	})
	first()
	return err
}

// readInvocation reads an invocation's present life: its two rows count as one.
func (s *Store) readInvocation(i id.Invocation) (*invocation.Invocation, error) {
	began := s.host.Clock.Now()
	inv, err := readInvocation(s.db, &s.view.key, i)
	bytes := 0
	if inv != nil {
		bytes = inv.Row.SizeVT()
	}
	s.stat.Got(bytes, s.host.Clock.Now().Sub(began))
	return inv, err
}

// write commits the rows of a view.
func (s *Store) write(rows *pebble.Batch) error {
	began, bytes, count := s.host.Clock.Now(), rows.Len(), rows.Count()
	if err := s.db.Apply(rows, pebble.NoSync); err != nil {
		return err
	}
	s.stat.Wrote(bytes, s.host.Clock.Now().Sub(began))
	s.tally.wrote(int64(bytes)+int64(count)*rowBytes, s.meta.Applied)
	return nil
}

package partitionstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/journal"
	"reprise/pkg/partition/partitiontest"
)

// Dump prints all committed rows as partitiontest.State does.
func (s *Store) Dump() (string, error) {
	var lines []string
	err := scan(s.db, nil, func(k, v []byte) error {
		if k[0] == kindActive { // there is one for some
			return nil
		}
		line, err := dumpRow(k, v)
		lines = append(lines, line)
		return err
	})
	if err != nil {
		return "", err
	}
	active, err := s.active()
	lines = append(lines, active...)
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n", err
}

// active prints the invocations that are not completed as a snapshot finds them.
func (s *Store) active() (lines []string, err error) {
	snap := s.Snapshot()
	defer func() { _ = snap.Close() }()
	rows := snap.Active()
	defer func() { _ = rows.Close() }()
	for {
		inv, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("active %s@%d", inv.ID, inv.Row.Incarnation))
	}
}

// IndexRows counts the index rows.
func (s *Store) IndexRows() (n int, err error) {
	err = scan(s.db, []byte{kindActive}, func([]byte, []byte) error {
		n++
		return nil
	})
	return n, err
}

func dumpRow(k, v []byte) (string, error) {
	switch k[0] {
	case kindMeta:
		var m storedv1.Meta
		err := m.UnmarshalVT(v)
		return partitiontest.RowLine("meta", &m), err
	case kindInvocation:
		var row storedv1.Invocation
		err := row.UnmarshalVT(v)
		return partitiontest.RowLine(KeyString(k), &row), err
	case kindJournal:
		j, first, _ := parseJournalKey(k)
		row, err := journal.ParseRow(first, v)
		row.Frames = bytes.Clone(row.Frames)
		return partitiontest.JournalLine(j.id, j.incarnation, row), err
	case kindTimer:
		return KeyString(k), nil
	default:
		return fmt.Sprintf("%s = %x", KeyString(k), v), nil
	}
}

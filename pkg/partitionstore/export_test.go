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

// IndexLag is after how many commands an invocation that still lives gets an index row.
const IndexLag = indexLag

// Dump prints all committed rows as partitiontest.State does.
func (s *Store) Dump() (string, error) {
	var lines []string
	lives := 0
	err := scan(s.db, nil, func(k, v []byte) error {
		switch k[0] {
		case kindActive: // there is one for some
			return nil
		case kindInvocation: // says what its life says
			lives++
			return nil
		}
		line, err := dumpRow(k, v)
		lines = append(lines, line)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "invocation ") {
			lives--
		}
	}
	if lives != 0 {
		return "", fmt.Errorf("%d more ids than invocations", lives)
	}
	active, err := s.active()
	lines = append(lines, active...)
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n", err
}

// active prints the invocations that are not completed as a snapshot finds them.
func (s *Store) active() (lines []string, err error) {
	snap, err := s.Snapshot()
	if err != nil {
		return nil, err
	}
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
	case kindLife:
		if l, ok := parseLifeKey(k); ok {
			inv, err := decodeInvocation(l, v)
			return partitiontest.RowLine("invocation "+l.id.String(), &inv.Row), err
		}
		l, first, _ := parseJournalKey(k)
		row, err := journal.ParseRow(first, v)
		row.Frames = bytes.Clone(row.Frames)
		return partitiontest.JournalLine(l.id, l.incarnation, row), err
	case kindTimer:
		return KeyString(k), nil
	case kindPromise:
		if _, _, waiter, _ := parsePromiseKey(k); waiter {
			var s storedv1.Sink
			err := s.UnmarshalVT(v)
			return partitiontest.RowLine(KeyString(k), &s), err
		}
		var p storedv1.Promise
		err := p.UnmarshalVT(v)
		return partitiontest.RowLine(KeyString(k), &p), err
	default:
		return fmt.Sprintf("%s = %x", KeyString(k), v), nil
	}
}

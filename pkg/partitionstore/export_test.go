package partitionstore

import (
	"bytes"
	"fmt"
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
		line, err := dumpRow(k, v)
		lines = append(lines, line)
		return err
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n", err
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
	case kindActive, kindTimer:
		return KeyString(k), nil
	default:
		return fmt.Sprintf("%s = %x", KeyString(k), v), nil
	}
}

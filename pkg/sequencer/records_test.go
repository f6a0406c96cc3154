package sequencer_test

import (
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/lsn"
)

// group returns n records of the given size that are back to back.
func group(n, size int) []byte {
	var out []byte
	body := make([]byte, size-command.HeaderSize)
	for range n {
		start := len(out)
		out, _ = command.Append(out, command.Header{Kind: command.Step, Frames: 1}, nil, body) // no facts: cannot fail
		command.Stamp(out[start:], 1, lsn.First, 1, 1, 1)
	}
	return out
}

func TestGroup(t *testing.T) {
	if got := len(group(8, 256)); got != 8*256 {
		t.Errorf("group has %d bytes", got)
	}
}

package command_test

import (
	"slices"
	"testing"

	"reprise/pkg/command"
)

// What others may ask for is a short list; a new kind is not on it by itself.
func TestWhoMayAsk(t *testing.T) {
	requests := []command.Kind{
		command.Invoke, command.Signal, command.Read, command.Cancel, command.Kill, command.Hold, command.Resume, command.Restart,
		command.Purge, command.PurgeJournal, command.PatchState,
	}
	messages := []command.Kind{command.Invoke, command.Signal, command.Respond, command.Share, command.Attach, command.Kill}
	for n := range 256 {
		k := command.Kind(n)
		if k.Requestable() != slices.Contains(requests, k) || k.Deliverable() != slices.Contains(messages, k) {
			t.Errorf("kind %d: requestable=%t deliverable=%t", k, k.Requestable(), k.Deliverable())
		}
	}
}

package e2e

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// The metadata quorum grows from one member to three, one that comes by itself and one that an operator lets in, and the first
// one is taken out of it; clients notice nothing.
func TestMetadataMembers(t *testing.T) {
	f := newForm(t, "daemons")
	first := f.Processes[0]
	n := newOperator(t, fabricOf(first))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(f)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))

	n.run("-y metadata-server remove-node "+n.id("metadata"), 1, `only member of the metadata quorum`)
	n.run("-y metadata-server add-node "+n.id("worker-1"), 1, `is no metadata daemon`)
	n.run("-y metadata-server remove-node "+n.id("worker-1"), 1, `node worker-1 is no member of the metadata quorum`)
	n.run("-y metadata-server add-node 99", 1, `there is no node N99`)
	n.run("-y metadata-server remove-node", 2, `<NODES>`)

	second, err := f.Add(env.bins, "metadata-2")
	ok(t, err)
	ok(t, second.Restart(t.Context()))
	n.waits("metadata-server list", 0, ` metadata-2 +Member .*\n`)
	third, err := f.Add(env.bins, "metadata-3")
	ok(t, err)
	third.Set("RESTATE_METADATA_SERVER__AUTO_JOIN=false")
	ok(t, third.Restart(t.Context()))
	if out := n.waits("metadata-server list", 0, `metadata-2`); strings.Contains(out, "metadata-3") {
		t.Errorf("nobody let it in:\n%s", out)
	}
	n.waits("-y metadata-server add-node "+n.id("metadata-3"), 0, `comes into the metadata quorum`)
	n.waits("metadata-server list", 0, ` metadata-3 +Member .*\n`)
	ok(t, c.Call(t.Context(), "Box/members/clear", "x", nil))

	ok(t, second.Kill())
	n.waits("-y metadata-server remove-node "+n.id("metadata-3"), 1, `metadata-2 does not answer: start it first\n.*without it 1 of 2 members would answer`)
	ok(t, second.Restart(t.Context())) // as a member that it was
	n.waits("metadata-server list", 0, ` metadata-2 +Member +3`)
	n = newOperator(t, fabricOf(second))
	n.waits("-y metadata-server remove-node "+n.id("metadata"), 0, `is no member of the metadata quorum any more`)
	if out := n.waits("metadata-server list", 0, `metadata-2`); regexp.MustCompile(`\n metadata +`).MatchString(out) {
		t.Errorf("the first one is there still:\n%s", out)
	}
	ok(t, harness.Wait(t.Context(), time.Minute, "its process ends", func(context.Context) error {
		if first.Ended() == nil {
			return errors.New("it runs")
		}
		return nil
	}))
	_ = first.Kill() // it ended by itself
	f.Processes = f.Processes[1:]
	n.waits("-y nodes remove --nodes "+n.id("metadata"), 0, `was removed`)
	ok(t, c.Call(t.Context(), "Box/members/clear", "x", nil))
	refused(t, first, `removed`)
}

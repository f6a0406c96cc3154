package processor_test

import (
	"slices"
	"strings"
	"testing"

	"reprise/pkg/span"
	"reprise/pkg/span/spantest"
)

// drawn draws the operations that were recorded and have this name, with their parts in the order in which these ended.
func drawn(all []span.Span, name string) (out []string) {
	for i := range all {
		if all[i].Name != name || all[i].Parent.Valid() {
			continue
		}
		line := name
		for k := range all {
			if all[k].Parent.Span == all[i].At.Span {
				line += " > " + all[k].Name
			}
		}
		out = append(out, line)
	}
	return out
}

// A snapshot that is made or restored is one trace of the engine.
func TestSpansOfSnapshots(t *testing.T) {
	w := newWorld(t, 1, 1)
	done := &spantest.Sink{}
	w.host.Spans = span.New(nil, done, 1)
	w.withSnapshots(1)
	a := w.start("a")
	x := add(w.keyIn(0, 0))
	a.count(x, 1, 10)
	l := a.snapshot(10)
	w.log.trim(0, l.Archived())
	a.stop()
	must(t, w.fs.RemoveAll("a"))
	a = w.start("a")
	a.count(x, 11, 11)
	a.stop()
	all := done.Taken()
	if got := drawn(all, "snapshot create"); !slices.Contains(got, "snapshot create > snapshot checkpoint > snapshot upload") {
		t.Errorf("made: %q", got)
	}
	if got := strings.Join(drawn(all, "snapshot restore"), "; "); got != "snapshot restore > snapshot download" {
		t.Errorf("restored: %q", got)
	}
	if got := drawn(all, "campaign"); len(got) < 2 {
		t.Errorf("campaigns: %q", got)
	}
	var uploaded, downloaded int64
	for _, s := range all {
		for _, kv := range s.Attributes {
			switch kv.Key {
			case "restate.snapshot.bytes_uploaded":
				uploaded += kv.Value.AsInt64()
			case "restate.snapshot.bytes_downloaded":
				downloaded += kv.Value.AsInt64()
			}
		}
	}
	if uploaded == 0 || downloaded == 0 {
		t.Errorf("%d bytes uploaded, %d downloaded", uploaded, downloaded)
	}
}

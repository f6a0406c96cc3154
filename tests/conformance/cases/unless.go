package cases

import (
	"fmt"

	"reprise/tests/conformance/harness"
)

// unless says why a case cannot hold when the suite's services are served in a certain way, with the
// reason that the report shows. What the server must do is never a reason, only what a transport, a
// version of the protocol, or an SDK cannot express.
var unless = map[string]func(harness.Setup) string{
	"protocol/bidi-calls-and-state": onlyBidi,
	"protocol/bidi-waiting":         onlyBidi,
	"protocol/bidi-failures":        onlyBidi,
	"admin/pause-and-resume": func(s harness.Setup) string {
		if s.Mode != harness.Bidi {
			return "a waiting invocation is suspended, and it takes an attempt to pause"
		}
		return ""
	},
	"errors/error-metadata":    from(6, "failures have no metadata"),
	"admin/restart-from-entry": from(6, "the server restarts only what ran at version 6 or later from the middle"),
}

func onlyBidi(s harness.Setup) string {
	if s.Mode != harness.Bidi {
		return "this run serves the main endpoint over " + s.Mode.String()
	}
	return ""
}

// from is for what a version brought: below it, the reason holds.
func from(version int, reason string) func(harness.Setup) string {
	return func(s harness.Setup) string {
		if s.Versions.Max < version {
			return fmt.Sprintf("below version %d %s", version, reason)
		}
		return ""
	}
}

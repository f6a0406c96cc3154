package cases

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"reprise/tests/conformance/harness"
)

// The tables of what cases need name cases that exist.
func TestTables(t *testing.T) {
	known := map[string]bool{}
	for _, c := range all {
		known[c.ID()] = true
	}
	for id := range needs {
		if !known[id] {
			t.Errorf("needs: there is no case %s", id)
		}
	}
	for id := range counts {
		if !known[id] {
			t.Errorf("counts: there is no case %s", id)
		}
	}
	for id := range unless {
		if !known[id] {
			t.Errorf("unless: there is no case %s", id)
		}
	}
}

// Nothing is left out of a run in the default way.
func TestUnless(t *testing.T) {
	for id, reason := range unless {
		for _, sdk := range []string{harness.GoSDK, harness.TypeScriptSDK} {
			if r := reason(harness.Setup{SDK: sdk, Mode: harness.Bidi, Versions: harness.Known}); r != "" {
				t.Errorf("%s with %s: %s", id, sdk, r)
			}
		}
	}
	old := harness.Setup{SDK: harness.GoSDK, Mode: harness.HTTP1, Versions: harness.Versions{Min: 5, Max: 5}}
	for id, reason := range unless {
		if reason(old) == "" {
			t.Errorf("%s holds at version 5 over HTTP/1.1, too", id)
		}
	}
}

// The TypeScript program has the cases that the group ts-client lists, and no others.
func TestTypeScriptCases(t *testing.T) {
	source, err := os.ReadFile("../typescript/client.ts")
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, m := range regexp.MustCompile(`(?m)^  "?([a-z-]+)"?: async \(\{`).FindAllStringSubmatch(string(source), -1) {
		have = append(have, m[1])
	}
	for _, c := range all {
		if c.Group == "ts-client" {
			want = append(want, c.Name)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("client.ts has %v,\nthe group lists %v", have, want)
	}
}

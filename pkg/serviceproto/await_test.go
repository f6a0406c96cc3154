package serviceproto_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/errs"
	"reprise/pkg/journal"
	. "reprise/pkg/serviceproto"
)

// resolved is a set of outcomes.
type resolved struct {
	completions, signals map[uint32]journal.Outcome
	named                map[string]journal.Outcome
}

func (r resolved) Completion(id uint32) journal.Outcome    { return r.completions[id] }
func (r resolved) Signal(index uint32) journal.Outcome     { return r.signals[index] }
func (r resolved) NamedSignal(name string) journal.Outcome { return r.named[name] }
func suspension(t testing.TB, s *servicev1.Suspension) []byte {
	return frameOf(t, TypeSuspension, s).Payload
}

const (
	unknown   = servicev1.CombinatorType_COMBINATOR_TYPE_UNSPECIFIED
	first     = servicev1.CombinatorType_COMBINATOR_TYPE_FIRST_COMPLETED
	all       = servicev1.CombinatorType_COMBINATOR_TYPE_ALL_COMPLETED
	anySucc   = servicev1.CombinatorType_COMBINATOR_TYPE_FIRST_SUCCEEDED_OR_ALL_FAILED
	allSucc   = servicev1.CombinatorType_COMBINATOR_TYPE_ALL_SUCCEEDED_OR_FIRST_FAILED
	succeeded = journal.Success
	failed    = journal.Failed
)

// node builds a tree: numbers are completions, strings named signals, futures are nested.
func node(combinator servicev1.CombinatorType, children ...any) *servicev1.Future {
	f := &servicev1.Future{CombinatorType: combinator}
	for _, c := range children {
		switch c := c.(type) {
		case int:
			f.WaitingCompletions = append(f.WaitingCompletions, uint32(c))
		case signalIndex:
			f.WaitingSignals = append(f.WaitingSignals, uint32(c))
		case string:
			f.WaitingNamedSignals = append(f.WaitingNamedSignals, c)
		case *servicev1.Future:
			f.NestedFutures = append(f.NestedFutures, c)
		}
	}
	return f
}

type signalIndex uint32

func parseTree(t testing.TB, f *servicev1.Future) Await {
	t.Helper()
	a, err := ParseSuspension(suspension(t, &servicev1.Suspension{AwaitingOn: f}), 7)
	if err != nil {
		t.Fatalf("%v: %v", f, err)
	}
	return a
}

// TestCombinators: 1 and 2 succeeded, 8 and 9 failed, 3 and above are pending; so are signals, but 1.
func TestCombinators(t *testing.T) {
	res := resolved{
		completions: map[uint32]journal.Outcome{1: succeeded, 2: succeeded, 8: failed, 9: failed},
		signals:     map[uint32]journal.Outcome{17: succeeded, 18: failed},
		named:       map[string]journal.Outcome{"yes": succeeded, "no": failed},
	}
	undetermined := node(unknown, 1)
	for _, c := range []struct {
		name string
		tree *servicev1.Future
		want bool
	}{
		{"unknown, one of two", node(unknown, 3, 1), true},
		{"unknown, failed", node(unknown, 3, 8), true},
		{"unknown, none", node(unknown, 3, 4), false},
		{"unknown, nested", node(unknown, 3, node(all, 1)), true},

		{"first, one of two", node(first, 3, 1), true},
		{"first, failed", node(first, 3, 8), true},
		{"first, none", node(first, 3, signalIndex(1), "x"), false},
		{"first, by signal", node(first, 3, signalIndex(17)), true},
		{"first, by failed signal", node(first, 3, signalIndex(18)), true},
		{"first, by name", node(first, 3, "yes"), true},
		{"first, nested pending", node(first, 3, node(all, 1, 3)), false},

		{"all, all", node(all, 1, 2), true},
		{"all, with failures", node(all, 1, 8), true},
		{"all, but one", node(all, 1, 8, 3), false},
		{"all, but a signal", node(all, 1, signalIndex(1)), false},
		{"all, but a name", node(all, 1, "x"), false},
		{"all, of each kind", node(all, 1, signalIndex(18), "no", node(first, 2)), true},
		{"all, nested pending", node(all, 1, node(first, 3)), false},

		{"any success, one", node(anySucc, 3, 1), true},
		{"any success, one behind a failure", node(anySucc, 8, 3, 1), true},
		{"any success, failures and pending", node(anySucc, 8, 9, 3), false},
		{"any success, all failed", node(anySucc, 8, 9), true},
		{"any success, none", node(anySucc, 3), false},
		{"any success, nested", node(anySucc, 3, node(all, 8, 9)), true}, // all completed is a success

		{"all success, all", node(allSucc, 1, 2), true},
		{"all success, first failed", node(allSucc, 1, 3, 8), true},
		{"all success, but one", node(allSucc, 1, 3), false},
		{"all success, nested failure", node(allSucc, 3, node(first, 8)), true},
		{"all success, nested success", node(allSucc, 3, node(first, 1, 8)), false}, // the first in order counts
		{"all success, nested failure first", node(allSucc, 3, node(first, 8, 1)), true},
		{"all success, nested any success", node(allSucc, 3, node(anySucc, 8, 9)), true},
		{"all success, nested all success failed", node(allSucc, 3, node(allSucc, 1, 8)), true},

		// The order of children is completions, signals, names, nested, whatever came first.
		{"order: completion before signal", node(allSucc, 3, node(first, signalIndex(18), 1)), false},
		{"order: signal before name", node(allSucc, 3, node(first, "no", signalIndex(17))), false},
		{"order: name before nested", node(allSucc, 3, node(first, node(first, 8), "yes")), false},
		{"order: signal fails first", node(allSucc, 3, node(first, signalIndex(18), "yes")), true},

		// What is undetermined lets the SDK decide.
		{"undetermined in all success", node(allSucc, 3, undetermined), true},
		{"undetermined in any success", node(anySucc, 3, undetermined), true},
		{"undetermined through first", node(allSucc, 3, node(first, 4, undetermined)), true},
		{"undetermined is completed in all", node(all, 1, undetermined), true},
		{"undetermined does not complete the rest of all", node(all, 3, undetermined), false},
		{"deep below", node(first, signalIndex(1), node(allSucc, 3, node(anySucc, 8, undetermined))), true},
		{"pending unknown is just pending", node(allSucc, 3, node(unknown, 4)), false},

		// As SDKs send it: cancel, or the user's tree.
		{"sdk, pending", node(first, signalIndex(1), node(all, 1, 3)), false},
		{"sdk, done", node(first, signalIndex(1), node(all, 1, 2)), true},

		{"duplicates", node(all, 1, 1, 1), true},
		{"completion id 0", node(all, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := parseTree(t, c.tree)
			if got := a.Satisfied(res); got != c.want {
				t.Errorf("%v is %v", c.tree, got)
			}
			stored, err := StoredAwait(a.AppendStored(nil))
			if err != nil || stored.Satisfied(res) != c.want || stored.Depth() != a.Depth() {
				t.Errorf("stored: %v, %v", stored.Satisfied(res), err)
			}
			// An AwaitingOn hint holds the same tree.
			hint := frameOf(t, TypeAwaitingOn, &servicev1.AwaitingOn{AwaitingOn: c.tree, ExecutingSideEffects: true})
			on, effects, err := ParseAwaitingOn(hint.Payload)
			if err != nil || !effects || on.Satisfied(res) != c.want {
				t.Errorf("hint: %v, %v, %v", on.Satisfied(res), effects, err)
			}
			// A cancel wakes whatever SDKs wrap with it.
			wrapped := parseTree(t, node(first, signalIndex(1), c.tree))
			if !wrapped.Satisfied(resolved{signals: map[uint32]journal.Outcome{1: succeeded}}) {
				t.Error("cancel does not wake it")
			}
		})
	}
}

func TestFlatSuspension(t *testing.T) {
	p := suspension(t, &servicev1.Suspension{WaitingCompletions: []uint32{1, 300}, WaitingSignals: []uint32{1}, WaitingNamedSignals: []string{"n"}})
	for _, version := range []uint32{5, 6} {
		a, err := ParseSuspension(p, version)
		if err != nil || a.Depth() != 1 {
			t.Fatalf("version %d: depth %d, %v", version, a.Depth(), err)
		}
		stored := a.AppendStored(nil)
		if stored[0] != byte(version) || !bytes.Equal(stored[1:], p) {
			t.Errorf("stored as %x", stored)
		}
		for _, c := range []struct {
			name string
			res  resolved
			want bool
		}{
			{"nothing", resolved{}, false},
			{"another", resolved{completions: map[uint32]journal.Outcome{2: succeeded}, signals: map[uint32]journal.Outcome{300: failed}}, false},
			{"second completion", resolved{completions: map[uint32]journal.Outcome{300: failed}}, true},
			{"cancel", resolved{signals: map[uint32]journal.Outcome{1: succeeded}}, true},
			{"name", resolved{named: map[string]journal.Outcome{"n": succeeded}}, true},
		} {
			if got := a.Satisfied(c.res); got != c.want {
				t.Errorf("version %d, %s: %v", version, c.name, got)
			}
		}
	}
	unpacked, err := ParseSuspension(unhex(t, "0801 0802"), 6)
	if err != nil || !unpacked.Satisfied(resolved{completions: map[uint32]journal.Outcome{2: succeeded}}) {
		t.Errorf("ids that are not packed: %v", err)
	}
}

func TestSuspensionRefused(t *testing.T) {
	flat := suspension(t, &servicev1.Suspension{WaitingCompletions: []uint32{1}})
	tree := suspension(t, &servicev1.Suspension{AwaitingOn: node(first, 1)})
	for _, c := range []struct {
		name    string
		payload []byte
		version uint32
		doc     string
		text    string
	}{
		{"flat", flat, 6, "", ""},
		{"tree", tree, 7, "", ""},
		{"flat layout in version 7", flat, 7, "RT0012", "it waits for nothing"},
		{"tree in version 6", tree, 6, "RT0012", "it waits for nothing"},
		{"empty, 5", nil, 5, "RT0012", "it waits for nothing"},
		{"empty, 6", nil, 6, "RT0012", "it waits for nothing"},
		{"empty, 7", nil, 7, "RT0012", "it waits for nothing"},
		{"empty packed list", unhex(t, "0a00"), 6, "RT0012", "it waits for nothing"},
		{"empty tree", suspension(t, &servicev1.Suspension{AwaitingOn: &servicev1.Future{}}), 7, "RT0012", "it waits for nothing"},
		{"empty node below", suspension(t, &servicev1.Suspension{AwaitingOn: node(all, 1, node(first))}), 7, "RT0012", "it waits for nothing"},
		{"nothing but nodes", suspension(t, &servicev1.Suspension{AwaitingOn: node(all, node(first, node(first)))}), 7, "RT0012", "it waits for nothing"},
		{"unknown combinator", suspension(t, &servicev1.Suspension{AwaitingOn: node(5, 1)}), 7, "RT0012", "its combinator is not known"},
		{"negative combinator", suspension(t, &servicev1.Suspension{AwaitingOn: node(-1, 1)}), 7, "RT0012", "its combinator is not known"},
		{"unknown combinator below", suspension(t, &servicev1.Suspension{AwaitingOn: node(all, 1, node(6, 1))}), 7, "RT0012", "its combinator is not known"},
		{"two combinators", unhex(t, "2207 0a0101 2801 2802"), 7, "RT0012", "a field is given twice"},
		{"two trees", append(bytes.Clone(tree), tree...), 7, "RT0012", "a field is given twice"},
		{"bad UTF-8", unhex(t, "1a01ff"), 6, "RT0012", "the name of a signal is not UTF-8"},
		{"bad UTF-8 in a tree", unhex(t, "2203 1a01ff"), 7, "RT0012", "the name of a signal is not UTF-8"},
		{"cut list", unhex(t, "0a0180"), 6, "RT0012", "it is not well-formed protobuf"},
		{"cut tree", tree[:len(tree)-1], 7, "RT0012", "it is not well-formed protobuf"},
		{"wrong wire type", unhex(t, "0d01020304"), 6, "RT0012", "it is not well-formed protobuf"},
		{"tree that is a number", unhex(t, "2001"), 7, "RT0012", "it is not well-formed protobuf"},
		{"deepest", suspension(t, &servicev1.Suspension{AwaitingOn: deep(MaxAwaitDepth)}), 7, "", ""},
		{"too deep", suspension(t, &servicev1.Suspension{AwaitingOn: deep(MaxAwaitDepth + 1)}), 7, "RT0025", "its await tree is deeper than 10000"},
	} {
		a, err := ParseSuspension(c.payload, c.version)
		if doc := docOf(t, err); doc != c.doc {
			t.Errorf("%s: %q (%v), not %q", c.name, doc, err, c.doc)
		}
		if want := "[" + c.doc + "] Suspension: " + c.text; err != nil && err.Error() != want {
			t.Errorf("%s: %q, not %q", c.name, err, want)
		}
		if c.name == "deepest" && (a.Depth() != MaxAwaitDepth || a.Satisfied(resolved{}) ||
			!a.Satisfied(resolved{completions: map[uint32]journal.Outcome{1: succeeded}})) {
			t.Errorf("the deepest tree has depth %d", a.Depth())
		}
	}
	for name, payload := range map[string][]byte{
		"no tree": unhex(t, "1001"), "cut": unhex(t, "0a05"), "flag that is text": append(frameOf(t, TypeAwaitingOn,
			&servicev1.AwaitingOn{AwaitingOn: node(first, 1)}).Payload, 0x12, 0x00),
	} {
		if _, _, err := ParseAwaitingOn(payload); docOf(t, err) != "RT0012" {
			t.Errorf("awaiting on, %s: %v", name, err)
		}
	}
	for _, stored := range [][]byte{nil, {7}, {6, 0xff}} {
		if _, err := StoredAwait(stored); !errs.Is(err, errs.Corrupt) {
			t.Errorf("stored %x: %v", stored, err)
		}
	}
}

// deep is a chain of n nodes over one completion.
func deep(n int) *servicev1.Future {
	f := node(all, 1)
	for range n - 1 {
		f = node(all, f)
	}
	return f
}

// TestAwaitAgainstModel compares with a plain evaluation of the decoded tree.
func TestAwaitAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := drawTree(t, 3)
		res := resolved{completions: map[uint32]journal.Outcome{}, signals: map[uint32]journal.Outcome{}, named: map[string]journal.Outcome{}}
		outcome := rapid.SampledFrom([]journal.Outcome{0, 0, succeeded, failed})
		for i := range uint32(4) {
			res.completions[i], res.signals[i] = outcome.Draw(t, "completion"), outcome.Draw(t, "signal")
			res.named[string('a'+rune(i))] = outcome.Draw(t, "named")
		}
		payload, err := proto.Marshal(&servicev1.Suspension{AwaitingOn: tree})
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseSuspension(payload, 7)
		if err != nil {
			t.Fatalf("%v: %v", tree, err)
		}
		got := a.Satisfied(res)
		if want := model(tree, res) != "pending"; got != want {
			t.Fatalf("%v with %v is %v, the model says %v", tree, res, got, want)
		}
	})
}

func drawTree(t *rapid.T, depth int) *servicev1.Future {
	f := &servicev1.Future{CombinatorType: servicev1.CombinatorType(rapid.Int32Range(0, 4).Draw(t, "combinator"))}
	leaf := rapid.SliceOfN(rapid.Uint32Range(0, 3), 0, 2)
	f.WaitingCompletions, f.WaitingSignals = leaf.Draw(t, "completions"), leaf.Draw(t, "signals")
	for _, n := range leaf.Draw(t, "names") {
		f.WaitingNamedSignals = append(f.WaitingNamedSignals, string('a'+rune(n)))
	}
	if depth > 0 {
		for range rapid.IntRange(0, 2).Draw(t, "nested") {
			f.NestedFutures = append(f.NestedFutures, drawTree(t, depth-1))
		}
	}
	if len(f.WaitingCompletions)+len(f.WaitingSignals)+len(f.WaitingNamedSignals)+len(f.NestedFutures) == 0 {
		f.WaitingCompletions = []uint32{1}
	}
	return f
}

// model evaluates a tree as the table of the protocol says.
func model(f *servicev1.Future, res resolved) string {
	var children []string
	word := map[journal.Outcome]string{0: "pending", succeeded: "succeeded", failed: "failed"}
	for _, i := range f.WaitingCompletions {
		children = append(children, word[res.completions[i]])
	}
	for _, i := range f.WaitingSignals {
		children = append(children, word[res.signals[i]])
	}
	for _, n := range f.WaitingNamedSignals {
		children = append(children, word[res.named[n]])
	}
	for _, n := range f.NestedFutures {
		children = append(children, model(n, res))
	}
	count := map[string]int{}
	firstDone := "pending"
	for _, c := range children {
		count[c]++
		if firstDone == "pending" {
			firstDone = c
		}
	}
	decide := func(early, late string) string {
		switch {
		case count[early] > 0:
			return early
		case count["undetermined"] > 0:
			return "undetermined"
		case count["pending"] > 0:
			return "pending"
		default:
			return late
		}
	}
	switch f.CombinatorType {
	case first:
		return firstDone
	case all:
		if count["pending"] > 0 {
			return "pending"
		}
		return "succeeded"
	case anySucc:
		return decide("succeeded", "failed")
	case allSucc:
		return decide("failed", "succeeded")
	default:
		if firstDone != "pending" {
			return "undetermined"
		}
		return "pending"
	}
}

// TestOnce: signals that may come again are hidden, alone and in trees.
func TestOnce(t *testing.T) {
	res := Once{resolved{
		completions: map[uint32]journal.Outcome{1: succeeded}, signals: map[uint32]journal.Outcome{1: succeeded, 16: succeeded, 17: failed},
		named: map[string]journal.Outcome{"n": succeeded},
	}}
	for _, c := range []struct {
		name string
		s    *servicev1.Suspension
		want bool
	}{
		{"cancel", &servicev1.Suspension{WaitingSignals: []uint32{1}}, false},
		{"reserved", &servicev1.Suspension{WaitingSignals: []uint32{16}}, false},
		{"awakeable", &servicev1.Suspension{WaitingSignals: []uint32{1, 17}}, true},
		{"name", &servicev1.Suspension{WaitingNamedSignals: []string{"n"}}, false},
		{"completion", &servicev1.Suspension{WaitingCompletions: []uint32{1}, WaitingSignals: []uint32{1}}, true},
	} {
		a, err := ParseSuspension(suspension(t, c.s), 6)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Satisfied(res); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	cancelOr := func(f *servicev1.Future) *servicev1.Suspension {
		return &servicev1.Suspension{AwaitingOn: &servicev1.Future{CombinatorType: first, WaitingSignals: []uint32{1}, NestedFutures: []*servicev1.Future{f}}}
	}
	for i, want := range map[int]bool{1: true, 2: false} {
		a, err := ParseSuspension(suspension(t, cancelOr(node(all, i))), 7)
		if err != nil || a.Satisfied(res) != want || !a.Satisfied(res.Resolved) {
			t.Errorf("tree over %d: %v", i, err)
		}
	}
}

func TestWithin(t *testing.T) {
	for depth, doc := range map[int]string{3: "", 4: "RT0025"} {
		a, err := ParseSuspension(suspension(t, &servicev1.Suspension{AwaitingOn: deep(depth)}), 7)
		if err != nil {
			t.Fatal(err)
		}
		if got := docOf(t, a.Within(3)); got != doc {
			t.Errorf("depth %d: %q", depth, got)
		}
		b, _, err := ParseAwaitingOn(frameOf(t, TypeAwaitingOn, &servicev1.AwaitingOn{AwaitingOn: deep(depth)}).Payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := docOf(t, b.Within(3)); got != doc {
			t.Errorf("awaiting on depth %d: %q", depth, got)
		}
	}
}

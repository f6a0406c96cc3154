package quorum_test

import (
	"slices"
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/quorum"
)

// What each storage state means: whether copies count, whether its answer helps to seal, whether it gets new loglets.
func TestStorageStates(t *testing.T) {
	for name, c := range map[string]struct {
		state   storedv1.StorageState
		copies  bool // a copy there is one of two
		answers bool // it makes an f-majority with one other of three
		chosen  bool
		empty   bool
	}{
		"provisioning": {storedv1.StorageState_STORAGE_STATE_PROVISIONING, true, true, false, false},
		"read-write":   {rw, true, true, true, false},
		"read-only":    {ro, true, true, false, false},
		"gone":         {gone, false, true, false, false}, // it counts as one that should answer, and never does
		"data-loss":    {lost, false, false, false, false},
		"disabled":     {disabled, false, false, false, true},
	} {
		n := nodeset(t, "2", members([]storedv1.StorageState{rw, c.state, rw}, nil))
		if got := n.WriteQuorum(setOf(0, 1)); got != c.copies {
			t.Errorf("%s: a copy there counts: %t", name, got)
		}
		if got := n.Member(1).Writeable(); got != c.copies {
			t.Errorf("%s: it is written to: %t", name, got)
		}
		if got := n.FMajority(setOf(0, 1)) == quorum.Success; got != c.answers {
			t.Errorf("%s: its answer decides: %t", name, got)
		}
		if got := n.FMajority(setOf(0)) == quorum.Success; got {
			t.Errorf("%s: without it one of two others decides", name)
		}
		if got := n.FMajority(setOf(0, 2)) == quorum.Success; !got {
			t.Errorf("%s: the two others do not decide", name)
		}
		if got := !n.Effective(1); got != c.empty {
			t.Errorf("%s: it left the nodeset: %t", name, got)
		}
		got, err := quorum.Select(quorum.Choice{Property: quorum.Flat(2), Candidates: members([]storedv1.StorageState{rw, c.state, rw}, nil)})
		if err != nil || slices.Contains(got, 2) != c.chosen {
			t.Errorf("%s: chosen are %v, %v", name, got, err)
		}
	}
}

func TestSelectPrefersTheLiving(t *testing.T) {
	property := func(text string) quorum.Property {
		p, err := quorum.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	five := []storedv1.StorageState{rw, rw, rw, rw, rw}
	for name, c := range map[string]struct {
		choice quorum.Choice
		want   []id.Node
	}{
		"three of five live": {
			quorum.Choice{Property: quorum.Flat(2), Absent: []id.Node{2, 4}, Candidates: members(five, nil)}, []id.Node{1, 3, 5},
		},
		"two of three live: the third may come back": {
			quorum.Choice{Property: quorum.Flat(2), Absent: []id.Node{3}, Candidates: members(five[:3], nil)}, []id.Node{1, 2, 3},
		},
		"nobody lives, as it seems": {
			quorum.Choice{Property: quorum.Flat(2), Absent: []id.Node{1, 2, 3}, Candidates: members(five[:3], nil)}, []id.Node{1, 2, 3},
		},
		"a zone without a living node is filled up last": {
			quorum.Choice{Property: property("{zone: 2}"), Absent: []id.Node{5}, Candidates: members(five, []string{"r.a", "r.a", "r.b", "r.b", "r.c"})},
			nil,
		},
		"a zone that is needed is added": {
			quorum.Choice{Property: property("{zone: 2}"), Absent: []id.Node{4}, Candidates: members(five[:4], []string{"r.a", "r.a", "r.a", "r.b"})},
			[]id.Node{1, 2, 3, 4},
		},
		"one that lives and takes nothing is no substitute": {
			quorum.Choice{Property: quorum.Flat(2), Absent: []id.Node{3}, Candidates: members([]storedv1.StorageState{rw, rw, rw, ro}, nil)}, []id.Node{1, 2, 3},
		},
	} {
		got, err := quorum.Select(c.choice)
		if err != nil || c.want != nil && !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
		if c.want == nil && (len(got) != 3 || slices.Contains(got, 5)) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestImprove(t *testing.T) {
	all := func(states ...storedv1.StorageState) []quorum.Member { return members(states, nil) }
	on := func(text string, nodes ...id.Node) *quorum.Nodeset {
		p, err := quorum.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		ms := make([]quorum.Member, len(nodes))
		for i, n := range nodes {
			ms[i].Node = n
		}
		n, err := quorum.NewNodeset(p, ms)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	two, three := quorum.Flat(2), quorum.Flat(3)
	for name, c := range map[string]struct {
		now    *quorum.Nodeset
		choice quorum.Choice
		want   string // part of the reason
	}{
		"all is well":                         {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: all(rw, rw, rw)}, ""},
		"another choice would do as well":     {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: all(rw, rw, rw, rw, rw, rw)}, ""},
		"one is dead and nobody else there":   {on("2", 1, 2, 3), quorum.Choice{Property: two, Absent: []id.Node{3}, Candidates: all(rw, rw, rw)}, ""},
		"one is dead and another lives":       {on("2", 1, 2, 3), quorum.Choice{Property: two, Absent: []id.Node{3}, Candidates: all(rw, rw, rw, rw)}, "2 of its log-servers live, 3 can"},
		"two are dead: it cannot be sealed":   {on("2", 1, 2, 3), quorum.Choice{Property: two, Absent: []id.Node{2, 3}, Candidates: all(rw, rw, rw, rw, rw)}, ""},
		"one more came":                       {on("2", 1, 2), quorum.Choice{Property: two, Candidates: all(rw, rw, rw)}, "2 of its log-servers live, 3 can"},
		"more are wanted":                     {on("2", 1, 2, 3), quorum.Choice{Property: two, Size: 5, Candidates: all(rw, rw, rw, rw, rw)}, "3 of its log-servers live, 5 can"},
		"fewer are wanted":                    {on("2", 1, 2, 3, 4, 5), quorum.Choice{Property: two, Size: 3, Candidates: all(rw, rw, rw, rw, rw)}, ""},
		"one is read-only":                    {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: all(rw, ro, rw, rw)}, "N2 takes no new records"},
		"one is read-only, two are left":      {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: all(rw, ro, rw)}, "N2 takes no new records"},
		"two are read-only, one is left":      {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: all(ro, ro, rw)}, ""},
		"one is gone":                         {on("2", 1, 2, 3), quorum.Choice{Property: two, Absent: []id.Node{3}, Candidates: all(rw, rw, gone, rw)}, "N3 takes no new records"},
		"one is gone and one dead":            {on("2", 1, 2, 3), quorum.Choice{Property: two, Absent: []id.Node{2, 3}, Candidates: all(rw, rw, gone, rw, rw)}, ""},
		"one lost its data":                   {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: all(rw, lost, rw, rw)}, "N2 takes no new records"},
		"one is disabled":                     {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: all(rw, disabled, rw, rw)}, "N2 takes no new records"},
		"one was removed":                     {on("2", 1, 2, 3), quorum.Choice{Property: two, Candidates: append(all(rw, rw), quorum.Member{Node: 4, State: rw})}, "N3 was removed"},
		"more copies":                         {on("2", 1, 2, 3), quorum.Choice{Property: three, Candidates: all(rw, rw, rw, rw, rw)}, "the replication is {node: 3} now, was {node: 2}"},
		"fewer copies":                        {on("3", 1, 2, 3, 4, 5), quorum.Choice{Property: two, Candidates: all(rw, rw, rw, rw, rw)}, "the replication is {node: 2} now, was {node: 3}"},
		"more copies than nodes":              {on("2", 1, 2, 3), quorum.Choice{Property: quorum.Flat(4), Candidates: all(rw, rw, rw)}, ""},
		"more copies than living nodes":       {on("2", 1, 2, 3), quorum.Choice{Property: three, Absent: []id.Node{3}, Candidates: all(rw, rw, rw)}, ""},
		"one copy, its node dead":             {on("1", 1), quorum.Choice{Property: quorum.Flat(1), Absent: []id.Node{1}, Candidates: all(rw, rw)}, ""},
		"one copy, its node is to be emptied": {on("1", 1), quorum.Choice{Property: quorum.Flat(1), Candidates: all(ro, rw)}, "N1 takes no new records"},
	} {
		got := quorum.Improve(c.now, c.choice)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got == "" {
			continue
		}
		next, err := quorum.Select(c.choice)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := quorum.Improve(on(c.choice.Property.String(), next...), c.choice); again != "" {
			t.Errorf("%s: what was chosen is to be left again: %s", name, again)
		}
	}
}

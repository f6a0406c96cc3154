package quorum_test

import (
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/quorum"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"1": "{node: 1}", " 3 ": "{node: 3}", "{node: 2}": "{node: 2}", "{zone: 2, node: 3}": "{zone: 2, node: 3}",
		"{node:3,zone:2}": "{zone: 2, node: 3}", "{zone: 2}": "{zone: 2, node: 2}", "{region: 2, zone: 2}": "{region: 2, zone: 2, node: 2}",
		"": "", "0": "", "-1": "", "129": "", "{node: 2": "", "{rack: 2}": "", "{zone: 3, node: 2}": "", "{region: 3, zone: 2}": "", "{node: 2, node: 3}": "", "{node}": "",
	} {
		p, err := quorum.Parse(text)
		if want == "" {
			if err == nil {
				t.Errorf("Parse(%q) = %s, want an error", text, p)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("Parse(%q) = %s, %v, want %s", text, p, err, want)
			continue
		}
		if again, err := quorum.Parse(p.String()); err != nil || again != p {
			t.Errorf("Parse(%s) = %s, %v", p, again, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("{zone: 2, node: 3}")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := quorum.Parse(text)
		if err != nil {
			return
		}
		if again, err := quorum.Parse(p.String()); err != nil || again != p {
			t.Errorf("Parse(%s) = %s, %v", p, again, err)
		}
	})
}

const (
	rw       = storedv1.StorageState_STORAGE_STATE_READ_WRITE
	ro       = storedv1.StorageState_STORAGE_STATE_READ_ONLY
	gone     = storedv1.StorageState_STORAGE_STATE_GONE
	lost     = storedv1.StorageState_STORAGE_STATE_DATA_LOSS
	disabled = storedv1.StorageState_STORAGE_STATE_DISABLED
)

func members(states []storedv1.StorageState, locations []string) []quorum.Member {
	var out []quorum.Member
	for i, s := range states {
		m := quorum.Member{Node: id.Node(i + 1), State: s}
		if locations != nil {
			m.Location = locations[i]
		}
		out = append(out, m)
	}
	return out
}

func nodeset(t testing.TB, property string, ms []quorum.Member) *quorum.Nodeset {
	t.Helper()
	p, err := quorum.Parse(property)
	if err != nil {
		t.Fatal(err)
	}
	n, err := quorum.NewNodeset(p, ms)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func setOf(is ...int) (s quorum.Set) {
	for _, i := range is {
		s.Add(i)
	}
	return s
}

func TestFMajority(t *testing.T) {
	three := []storedv1.StorageState{rw, rw, rw}
	zones := members([]storedv1.StorageState{rw, rw, rw, rw, rw, rw}, []string{"r.a", "r.a", "r.b", "r.b", "r.c", "r.c"})
	for name, c := range map[string]struct {
		n    *quorum.Nodeset
		set  quorum.Set
		want quorum.Class
	}{
		"two of three":                     {nodeset(t, "2", members(three, nil)), setOf(0, 2), quorum.Success},
		"one of three":                     {nodeset(t, "2", members(three, nil)), setOf(1), quorum.None},
		"four copies of five need two":     {nodeset(t, "4", members([]storedv1.StorageState{rw, rw, rw, rw, rw}, nil)), setOf(0, 4), quorum.Success},
		"a disabled node is no help":       {nodeset(t, "2", members([]storedv1.StorageState{rw, rw, disabled}, nil)), setOf(0), quorum.SuccessWithRisk},
		"the others decide without it":     {nodeset(t, "2", members([]storedv1.StorageState{rw, rw, disabled}, nil)), setOf(0, 1), quorum.Success},
		"a node that lost its data":        {nodeset(t, "2", members([]storedv1.StorageState{rw, rw, lost}, nil)), setOf(0, 2), quorum.SuccessWithRisk},
		"all that can answer did":          {nodeset(t, "1", members([]storedv1.StorageState{rw, ro, lost}, nil)), setOf(0, 1), quorum.BestEffort},
		"one that is gone is missing":      {nodeset(t, "1", members([]storedv1.StorageState{rw, gone}, nil)), setOf(0), quorum.None},
		"two whole zones":                  {nodeset(t, "{zone: 2, node: 3}", zones), setOf(0, 1, 2, 3), quorum.Success},
		"parts of all zones, four nodes":   {nodeset(t, "{zone: 2, node: 3}", zones), setOf(0, 2, 4, 5), quorum.Success},
		"parts of all zones, three nodes":  {nodeset(t, "{zone: 2, node: 3}", zones), setOf(0, 2, 4), quorum.None},
		"one whole zone and half of a two": {nodeset(t, "{zone: 2, node: 3}", zones), setOf(0, 1, 2), quorum.None},
	} {
		if got := c.n.FMajority(c.set); got != c.want {
			t.Errorf("%s: class %d, want %d", name, got, c.want)
		}
	}
}

func TestWriteQuorum(t *testing.T) {
	zones := members([]storedv1.StorageState{rw, rw, rw, rw, rw, lost}, []string{"r.a", "r.a", "r.b", "r.b", "r.c", "r.c"})
	n := nodeset(t, "{zone: 2, node: 3}", zones)
	for name, c := range map[string]struct {
		set  quorum.Set
		want bool
	}{
		"three nodes in two zones": {setOf(0, 1, 2), true},
		"two nodes":                {setOf(0, 2), false},
		"lost copies do not count": {setOf(0, 2, 5), false},
		"three zones":              {setOf(0, 2, 4), true},
	} {
		if got := n.WriteQuorum(c.set); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Where a write quorum is left, a repair brings records there; else to each domain that is left.
func TestRepairQuorum(t *testing.T) {
	places := []string{"r.a", "r.a", "r.b", "r.b"}
	for name, c := range map[string]struct {
		property string
		states   []storedv1.StorageState
		set      quorum.Set
		want     bool
		short    bool
	}{
		"a write quorum is left, and this is one":      {"2", []storedv1.StorageState{rw, rw, rw, lost}, setOf(0, 1), true, false},
		"a write quorum is left, and this is none":     {"2", []storedv1.StorageState{rw, rw, rw, lost}, setOf(0, 3), false, false},
		"three of four copies are left, and these":     {"4", []storedv1.StorageState{rw, rw, lost, rw}, setOf(0, 1, 3), true, true},
		"three of four copies are left, these are two": {"4", []storedv1.StorageState{rw, rw, lost, rw}, setOf(0, 3), false, true},
		"one that is gone is no copy":                  {"4", []storedv1.StorageState{rw, rw, gone, rw}, setOf(0, 1, 3), true, true},
		"a zone is lost: two nodes of the other":       {"{zone: 2, node: 3}", []storedv1.StorageState{rw, rw, lost, lost}, setOf(0, 1), true, true},
		"a zone is lost: one node of the other":        {"{zone: 2, node: 3}", []storedv1.StorageState{rw, rw, lost, lost}, setOf(1), false, true},
		"a zone has one left: it has to be among them": {"{zone: 2, node: 3}", []storedv1.StorageState{rw, rw, lost, rw}, setOf(0, 1), false, false},
		"a zone has one left: which is a write quorum": {"{zone: 2, node: 3}", []storedv1.StorageState{rw, rw, lost, rw}, setOf(0, 1, 3), true, false},
	} {
		n := nodeset(t, c.property, members(c.states, places))
		if got := n.RepairQuorum(c.set); got != c.want || n.Short() != c.short {
			t.Errorf("%s: %t, short %t", name, got, n.Short())
		}
	}
}

// Every f-majority meets every write quorum, whatever the property, the places and the states.
func TestQuorumsMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 7).Draw(t, "size")
		var ms []quorum.Member
		for i := range size {
			ms = append(ms, quorum.Member{
				Node:     id.Node(i + 1),
				Location: rapid.SampledFrom([]string{"", "r.a", "r.b", "s.c", "s"}).Draw(t, "location"),
				State:    rapid.SampledFrom([]storedv1.StorageState{rw, rw, rw, ro, gone, lost, disabled}).Draw(t, "state"),
			})
		}
		property := rapid.SampledFrom([]string{"1", "2", "3", "{zone: 2}", "{zone: 2, node: 3}", "{region: 2, node: 3}", "{region: 1, zone: 2, node: 3}"}).Draw(t, "property")
		p, err := quorum.Parse(property)
		if err != nil {
			t.Fatal(err)
		}
		n, err := quorum.NewNodeset(p, ms)
		if err != nil {
			t.Fatal(err)
		}
		var writes, majorities []uint
		for s := uint(1); s < 1<<size; s++ {
			var set quorum.Set
			for r := s; r != 0; r &= r - 1 {
				set.Add(bits.TrailingZeros(r))
			}
			if n.WriteQuorum(set) {
				writes = append(writes, s)
			}
			if n.FMajority(set) == quorum.Success {
				majorities = append(majorities, s)
			}
			if n.WriteQuorum(set) && !n.RepairQuorum(set) || !n.Short() && n.WriteQuorum(set) != n.RepairQuorum(set) {
				t.Fatalf("%s: a write quorum is %b: %t; a repair is content with it: %t", p, s, n.WriteQuorum(set), n.RepairQuorum(set))
			}
		}
		for _, w := range writes {
			for _, m := range majorities {
				if w&m == 0 {
					t.Fatalf("%s: write quorum %b and f-majority %b do not meet", p, w, m)
				}
			}
		}
	})
}

func TestSelect(t *testing.T) {
	flat := quorum.Flat(2)
	all := members([]storedv1.StorageState{rw, rw, ro, rw, lost, rw, rw}, nil)
	for log := range id.Partition(50) {
		got, err := quorum.Select(quorum.Choice{Property: flat, Log: log, Me: 4, Candidates: all})
		if err != nil || len(got) != 3 || !slices.Contains(got, 4) || slices.Contains(got, 3) || slices.Contains(got, 5) {
			t.Fatalf("nodeset of log %d is %v, %v", log, got, err)
		}
		slices.Reverse(all)
		again, err := quorum.Select(quorum.Choice{Property: flat, Log: log, Me: 4, Candidates: all})
		if err != nil || !slices.Equal(got, again) {
			t.Fatalf("nodeset of log %d is %v, then %v, %v", log, got, again, err)
		}
	}
	one, err := quorum.Select(quorum.Choice{Property: quorum.Flat(1), Candidates: all})
	if err != nil || len(one) != 1 {
		t.Errorf("one copy on %v, %v", one, err)
	}
	if _, err := quorum.Select(quorum.Choice{Property: quorum.Flat(6), Candidates: all}); err == nil {
		t.Error("six copies on five nodes")
	}
}

func TestSelectSpreads(t *testing.T) {
	zones := members([]storedv1.StorageState{rw, rw, rw, rw, rw, rw}, []string{"r.a", "r.a", "r.a", "r.a", "r.b", "r.c"})
	p, err := quorum.Parse("{zone: 3}")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[id.Node]int{}
	for log := range id.Partition(300) {
		got, err := quorum.Select(quorum.Choice{Property: p, Log: log, Size: 3, Candidates: zones})
		if err != nil || !slices.Contains(got, 5) || !slices.Contains(got, 6) {
			t.Fatalf("nodeset of log %d is %v, %v", log, got, err)
		}
		for _, n := range got {
			counts[n]++
		}
	}
	for n := id.Node(1); n <= 4; n++ {
		if counts[n] < 300 { // five nodes are chosen: both zones of one, and three of these four
			continue
		}
		t.Errorf("node %d is in all nodesets", n)
	}
}

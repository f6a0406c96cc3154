package quorum

import (
	"cmp"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// salt keeps the order of nodes apart from other hashes of the same numbers. It never changes.
const salt = 0x6c6f676c65742d31

// Choice asks for the nodeset of a new loglet.
type Choice struct {
	Property   Property
	Log        id.Partition
	Size       int     // wanted nodes, 0 = automatic
	Me         id.Node // comes first, if it is a candidate
	Preferred  []id.Node
	Absent     []id.Node // candidates that seem to be dead: they come last, and never instead of another
	Candidates []Member  // nodes with a log-server
}

// Select picks the nodeset of a new loglet. The choice is stable: the same inputs in any order give
// the same nodes, and different logs spread over the nodes. Those that live are chosen first; absent ones
// fill up what is missing, as they may come back.
func Select(c Choice) ([]id.Node, error) {
	size := max(c.Size, 2*c.Property.Copies()-1, c.Property.Copies()+1)
	if c.Property.Copies() == 1 && c.Size == 0 {
		size = 1 // a copy more would be asked by recovery and hold nothing that counts
	}
	size = min(size, NodesetMax)
	here, absent := c, c
	here.Candidates = slices.DeleteFunc(slices.Clone(c.Candidates), func(m Member) bool { return slices.Contains(c.Absent, m.Node) })
	absent.Candidates = slices.DeleteFunc(slices.Clone(c.Candidates), func(m Member) bool { return !slices.Contains(c.Absent, m.Node) })
	chosen := fill(nil, byDomain(here), func(chosen []Member) bool { return len(chosen) == size })
	held := holds(c.Property, chosen)
	if len(chosen) < size || !held {
		chosen = fill(chosen, byDomain(absent), func(chosen []Member) bool {
			held = held || holds(c.Property, chosen)
			return len(chosen) == NodesetMax || len(chosen) >= size && held
		})
		held = holds(c.Property, chosen)
	}
	if !held {
		return nil, errs.Newf(errs.Unavailable, "%d writeable log-servers cannot hold %s", len(chosen), c.Property)
	}
	return ids(chosen), nil
}

// fill adds nodes of the domains, always of the one with the fewest, until it is enough.
func fill(chosen []Member, domains []*domain, enough func([]Member) bool) []Member {
	for !enough(chosen) {
		d := leastFilled(domains, chosen)
		if d == nil {
			break
		}
		chosen = append(chosen, d.nodes[d.taken])
		d.taken++
	}
	return chosen
}

// holds tells whether copies on all of the members satisfy the property.
func holds(p Property, members []Member) bool {
	if len(members) == 0 {
		return false
	}
	ns, err := NewNodeset(p, members)
	return err == nil && !ns.Short()
}

func ids(ms []Member) []id.Node {
	out := make([]id.Node, len(ms))
	for i, m := range ms {
		out[i] = m.Node
	}
	slices.Sort(out)
	return out
}

type domain struct {
	name  string
	scope Scope
	nodes []Member
	taken int
}

func byDomain(c Choice) []*domain {
	var out []*domain
	scope := c.Property.widest()
	for _, m := range c.Candidates {
		if m.Deleted || m.State != storedv1.StorageState_STORAGE_STATE_READ_WRITE {
			continue
		}
		name := nameIn(m, scope)
		i := slices.IndexFunc(out, func(d *domain) bool { return d.name == name })
		if i < 0 {
			out = append(out, &domain{name: name, scope: scope})
			i = len(out) - 1
		}
		out[i].nodes = append(out[i].nodes, m)
	}
	for _, d := range out {
		slices.SortFunc(d.nodes, func(a, b Member) int {
			return cmp.Or(cmp.Compare(rank(c, a.Node), rank(c, b.Node)),
				cmp.Compare(hash(c.Log, a.Node), hash(c.Log, b.Node)), cmp.Compare(a.Node, b.Node))
		})
	}
	slices.SortFunc(out, func(a, b *domain) int {
		return cmp.Or(cmp.Compare(rank(c, a.nodes[0].Node), rank(c, b.nodes[0].Node)),
			cmp.Compare(hash(c.Log, a.nodes[0].Node), hash(c.Log, b.nodes[0].Node)), cmp.Compare(a.name, b.name))
	})
	return out
}

// nameIn is the domain of a member for the choice: a flat property sees one.
func nameIn(m Member, scope Scope) string {
	if scope == Node {
		return ""
	}
	return domainName(m, scope)
}

// leastFilled is the first domain with the fewest chosen nodes and one left.
func leastFilled(ds []*domain, chosen []Member) *domain {
	var best *domain
	least := 0
	for _, d := range ds {
		n := 0
		for _, m := range chosen {
			if nameIn(m, d.scope) == d.name {
				n++
			}
		}
		if d.taken < len(d.nodes) && (best == nil || n < least) {
			best, least = d, n
		}
	}
	return best
}

func rank(c Choice, n id.Node) int {
	switch {
	case n == c.Me:
		return 0
	case slices.Contains(c.Preferred, n):
		return 1
	default:
		return 2
	}
}

// hash mixes the two numbers (the finalizer of splitmix64).
func hash(log id.Partition, n id.Node) uint64 {
	x := salt ^ uint64(log)<<32 ^ uint64(n)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

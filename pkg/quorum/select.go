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
	Candidates []Member // nodes with a log-server
}

// Select picks the nodeset of a new loglet. The choice is stable: the same inputs in any order give
// the same nodes, and different logs spread over the nodes.
func Select(c Choice) ([]id.Node, error) {
	size := max(c.Size, 2*c.Property.Copies()-1, c.Property.Copies()+1)
	if c.Property.Copies() == 1 && c.Size == 0 {
		size = 1 // a copy more would be asked by recovery and hold nothing that counts
	}
	size = min(size, NodesetMax)
	domains := byDomain(c)
	var chosen []Member
	for len(chosen) < size {
		d := leastFilled(domains)
		if d == nil {
			break
		}
		chosen = append(chosen, d.nodes[d.taken])
		d.taken++
	}
	if len(chosen) > 0 {
		ns, err := NewNodeset(c.Property, chosen)
		if err != nil {
			return nil, err
		}
		var all Set
		for i := range chosen {
			all.Add(i)
		}
		if ns.WriteQuorum(all) {
			return ids(chosen), nil
		}
	}
	return nil, errs.Newf(errs.Unavailable, "%d writeable log-servers cannot hold %s", len(chosen), c.Property)
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
		name := "" // a flat property sees one domain
		if scope != Node {
			name = domainName(m, scope)
		}
		i := slices.IndexFunc(out, func(d *domain) bool { return d.name == name })
		if i < 0 {
			out = append(out, &domain{name: name})
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

// leastFilled is the first domain with the fewest chosen nodes and one left.
func leastFilled(ds []*domain) *domain {
	var best *domain
	for _, d := range ds {
		if d.taken < len(d.nodes) && (best == nil || d.taken < best.taken) {
			best = d
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

package quorum

import (
	"strconv"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// NodesetMax is the largest nodeset of a loglet.
const NodesetMax = 128

// Set is a set of members of a nodeset, by their index in it.
type Set [NodesetMax / 64]uint64

// Add puts member i into the set.
func (s *Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Remove takes member i out of the set.
func (s *Set) Remove(i int) { s[i>>6] &^= 1 << (i & 63) }

// Has tells whether member i is in the set.
func (s *Set) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Member is a node of a nodeset as the nodes configuration describes it now.
type Member struct {
	Node     id.Node
	Location string // region[.zone], may be empty
	State    storedv1.StorageState
	Deleted  bool // no longer in the nodes configuration; unlike one that is not known yet
}

// empty members never held or no longer hold anything: they leave all checks.
func (m Member) empty() bool {
	return m.Deleted || m.State == storedv1.StorageState_STORAGE_STATE_DISABLED
}

// authoritative members answer for what they stored. One that is not known yet may be a new node.
func (m Member) authoritative() bool {
	return !m.empty() && m.State != storedv1.StorageState_STORAGE_STATE_DATA_LOSS
}

// Writeable tells whether records of existing loglets may be sent to the member. One that looks as if it
// had never been written to was read-write when the loglet got it: we are behind.
func (m Member) Writeable() bool { return m.counts() }

// Lost tells whether nothing of the member is ever read again.
func (m Member) Lost() bool { return !m.counts() }

// counts tells whether a copy on the member is a copy.
func (m Member) counts() bool {
	return m.authoritative() && m.State != storedv1.StorageState_STORAGE_STATE_GONE
}

// Nodeset is the nodeset of a loglet with its property. It is immutable.
type Nodeset struct {
	property Property
	members  []Member
	domain   [scopes][]uint8 // domain of each member, for the scopes of the property
	domains  [scopes]int     // how many there are
	flat     bool            // only the node scope matters and every member counts
}

// NewNodeset joins a property and members.
func NewNodeset(p Property, members []Member) (*Nodeset, error) {
	if len(members) == 0 || len(members) > NodesetMax {
		return nil, errs.Newf(errs.Invalid, "nodeset of %d nodes", len(members))
	}
	if p.Copies() == 0 {
		return nil, errs.Newf(errs.Invalid, "nodeset without replication")
	}
	n := &Nodeset{property: p, members: members, flat: p.widest() == Node}
	for _, m := range members {
		n.flat = n.flat && m.counts()
	}
	for s := range Scope(scopes) {
		if p.Factor(s) == 0 {
			continue
		}
		names := map[string]uint8{}
		n.domain[s] = make([]uint8, len(members))
		for i, m := range members {
			name := domainName(m, s)
			d, ok := names[name]
			if !ok {
				d = uint8(len(names))
				names[name] = d
			}
			n.domain[s][i] = d
		}
		n.domains[s] = len(names)
	}
	return n, nil
}

func domainName(m Member, s Scope) string {
	switch s {
	case Region:
		region, _, _ := strings.Cut(m.Location, ".")
		return region
	case Zone:
		return m.Location
	default:
		return strconv.FormatUint(uint64(m.Node), 10)
	}
}

// Len is the number of members.
func (n *Nodeset) Len() int { return len(n.members) }

// Member returns member i.
func (n *Nodeset) Member(i int) Member { return n.members[i] }

// Property returns the replication property.
func (n *Nodeset) Property() Property { return n.property }

// Effective tells whether member i takes part in checks.
func (n *Nodeset) Effective(i int) bool { return !n.members[i].empty() }

// Flat tells that a write quorum is any Property().Copies() members.
func (n *Nodeset) Flat() bool { return n.flat }

// WriteQuorum tells whether copies on the members of s make a record durable: for every scope of
// the property they lie in enough domains.
func (n *Nodeset) WriteQuorum(s Set) bool {
	for scope := range Scope(scopes) {
		if factor := n.property.Factor(scope); factor != 0 && n.domainsOf(scope, s) < factor {
			return false
		}
	}
	return true
}

// RepairQuorum tells whether copies on the members of s are as good as copies can still be: a write quorum, or, where so many
// members lost their data that there is none any more, one in each domain that is left (ADR 32).
func (n *Nodeset) RepairQuorum(s Set) bool {
	all := n.all()
	for scope := range Scope(scopes) {
		if factor := n.property.Factor(scope); factor != 0 && n.domainsOf(scope, s) < min(factor, n.domainsOf(scope, all)) {
			return false
		}
	}
	return true
}

// Short tells that too many members lost their data for a write quorum.
func (n *Nodeset) Short() bool { return !n.WriteQuorum(n.all()) }

func (n *Nodeset) all() (s Set) {
	for i := range n.members {
		s.Add(i)
	}
	return s
}

// domainsOf counts the domains in which a copy on the members of s counts.
func (n *Nodeset) domainsOf(scope Scope, s Set) (count int) {
	var seen Set
	for i, m := range n.members {
		d := int(n.domain[scope][i])
		if s.Has(i) && m.counts() && !seen.Has(d) {
			seen.Add(d)
			count++
		}
	}
	return count
}

// Class is the result of asking for an f-majority.
type Class uint8

// The classes, from worst to best.
const (
	None            Class = 0
	BestEffort      Class = 1 // all that can answer for their data did, and it is not enough
	SuccessWithRisk Class = 2 // enough only if nodes without their data count
	Success         Class = 3
)

// FMajority tells whether the members of s meet every possible write quorum: for at least one scope
// they cover completely all but factor - 1 domains. Only Success may decide anything.
func (n *Nodeset) FMajority(s Set) Class {
	best := None
	for scope := range Scope(scopes) {
		if n.property.Factor(scope) != 0 {
			best = max(best, n.covers(scope, s))
		}
	}
	if best != None {
		return best
	}
	for i, m := range n.members {
		if m.authoritative() && !s.Has(i) {
			return None
		}
	}
	return BestEffort
}

func (n *Nodeset) covers(scope Scope, s Set) Class {
	var open, risky, solid Set // a domain with a member outside s; with one that lost data; with one that counts
	for i, m := range n.members {
		d := int(n.domain[scope][i])
		switch {
		case m.empty():
		case !s.Has(i):
			open.Add(d)
		case m.authoritative():
			solid.Add(d)
		default:
			risky.Add(d)
		}
	}
	full, sure := 0, 0
	for d := range n.domains[scope] {
		if open.Has(d) {
			continue
		}
		full++
		if solid.Has(d) && !risky.Has(d) {
			sure++
		}
	}
	need := n.domains[scope] - n.property.Factor(scope) + 1
	if need < 1 {
		need = 1 // fewer domains than copies: nothing was ever committed, but ask somebody
	}
	switch {
	case sure >= need:
		return Success
	case full >= need:
		return SuccessWithRisk
	default:
		return None
	}
}

package quorum

import (
	"fmt"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// Improve tells why the loglet that stores on now should be followed by one on the nodeset that Select picks for c;
// "" if it should not. Candidates of c describe the nodes of now, too: one that is not among them was deleted.
//
// A change costs a take-over, so a choice that is only different is no reason; and it must not cost more: it is made
// only while those that live can seal the old loglet and hold the records of the new one.
func Improve(now *Nodeset, c Choice) (why string) {
	next, err := Select(c)
	if err != nil {
		return ""
	}
	old := make([]Member, now.Len())
	for i := range old {
		old[i] = c.describe(now.Member(i).Node)
	}
	if !sealable(now.Property(), old, c) || !holds(c.Property, c.living(next)) {
		return ""
	}
	if p := now.Property(); p != c.Property {
		return fmt.Sprintf("the replication is %s now, was %s", c.Property, p)
	}
	for _, m := range old {
		if m.Deleted {
			return fmt.Sprintf("%s was removed", m.Node)
		}
		if m.State != storedv1.StorageState_STORAGE_STATE_READ_WRITE {
			return fmt.Sprintf("%s takes no new records", m.Node)
		}
	}
	if more, less := len(c.living(next)), len(c.living(ids(old))); more > less {
		return fmt.Sprintf("%d of its log-servers live, %d can", less, more)
	}
	return ""
}

// describe returns what is known of a node.
func (c *Choice) describe(n id.Node) Member {
	for _, m := range c.Candidates {
		if m.Node == n {
			return m
		}
	}
	return Member{Node: n, Deleted: true}
}

// living returns those of the nodes that seem to live.
func (c *Choice) living(nodes []id.Node) []Member {
	var out []Member
	for _, n := range nodes {
		if m := c.describe(n); !m.Deleted && !slices.Contains(c.Absent, n) {
			out = append(out, m)
		}
	}
	return out
}

// sealable tells whether the members that live are an f-majority.
func sealable(p Property, members []Member, c Choice) bool {
	ns, err := NewNodeset(p, members)
	if err != nil {
		return false
	}
	var there Set
	for i, m := range members {
		if m.counts() && !slices.Contains(c.Absent, m.Node) {
			there.Add(i)
		}
	}
	return ns.FMajority(there) == Success
}

package loglet

import (
	"fmt"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/metastore"
	"reprise/pkg/quorum"
)

// NewLoglet describes the next loglet of a log: me sequences it, on a nodeset chosen for the log. Log-servers that
// seem to live are preferred.
func NewLoglet(p id.Partition, index uint32, me id.GenerationalNode, s *metastore.Snapshot, nonce uint64) (*storedv1.Loglet, error) {
	choice, err := choiceOf(p, me.Node, s)
	if err != nil {
		return nil, err
	}
	chosen, err := quorum.Select(choice)
	if err != nil {
		return nil, fmt.Errorf("nodeset of log %d: %w", p, err)
	}
	l := &storedv1.Loglet{
		Id: uint64(id.NewLoglet(p, index)), SequencerNode: uint32(me.Node), SequencerGeneration: me.Generation,
		Replication: choice.Property.String(), Nonce: nonce,
	}
	for _, n := range chosen {
		l.Nodeset = append(l.Nodeset, uint32(n))
	}
	return l, nil
}

// Improve tells why a loglet that me sequences should be followed by one on another nodeset; "" if it should not.
func Improve(l *storedv1.Loglet, me id.Node, s *metastore.Snapshot) (why string, err error) {
	choice, err := choiceOf(id.Loglet(l.Id).Log(), me, s)
	if err != nil {
		return "", err
	}
	now, err := logproto.NodesetOf(l, func(nodes []id.Node) []quorum.Member {
		out := make([]quorum.Member, len(nodes))
		for i, n := range nodes {
			out[i].Node = n
		}
		return out
	})
	if err != nil {
		return "", err
	}
	return quorum.Improve(now, choice), nil
}

// choiceOf asks for a nodeset by what the metadata says now.
func choiceOf(p id.Partition, me id.Node, s *metastore.Snapshot) (quorum.Choice, error) {
	property, err := quorum.Parse(s.Cluster.GetReplication())
	if err != nil {
		return quorum.Choice{}, err
	}
	c := quorum.Choice{Property: property, Log: p, Size: int(s.Cluster.GetNodesetSize()), Me: me}
	for _, n := range s.Nodes {
		m := quorum.Member{Node: id.Node(n.Id), Location: n.Location, State: n.StorageState}
		c.Candidates = append(c.Candidates, m)
		present := slices.ContainsFunc(s.Present, func(p metastore.Presence) bool { return p.ID.Node == m.Node })
		if !present && len(s.Present) > 0 { // if nobody is, nothing is known
			c.Absent = append(c.Absent, m.Node)
		}
	}
	return c, nil
}

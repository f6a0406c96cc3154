package controller

import (
	"fmt"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
)

// JoiningMember returns where the member of a metadata daemon that stands by would be found. errs.Conflict: it can not be one.
func JoiningMember(n *storedv1.Node) (peerURL string, err error) {
	switch {
	case !slices.Contains(n.Roles, metastore.RoleMetadata):
		return "", errs.Newf(errs.Conflict, "node %s is no metadata daemon", id.Node(n.Id))
	case n.EtcdPeerUrl == "":
		return "", errs.Newf(errs.Conflict, "node %s has not said where other members find it: start it with auto-provision = false, without metadata-server.initial-cluster, and with metadata-client.addresses of this cluster", id.Node(n.Id))
	}
	return n.EtcdPeerUrl, nil
}

// Addable says whether a member may come into the metadata quorum now. errs.Conflict: it may not, and the error says why.
func Addable(members []metastore.Member) error {
	var reasons []string
	for _, m := range members {
		switch {
		case m.Learner:
			reasons = append(reasons, fmt.Sprintf("%s is still learning: wait until it is a member", memberName(m)))
		case m.Err != nil:
			reasons = append(reasons, fmt.Sprintf("%s does not answer: start it, or remove it first", memberName(m)))
		}
	}
	return unsafe(reasons, "add a metadata member")
}

// RemovableMember returns the member that is a node's, if the quorum can do without it. errs.NotFound: there is none.
// errs.Conflict: it can not, and the error says why.
func RemovableMember(members []metastore.Member, node string) (member uint64, err error) {
	i := slices.IndexFunc(members, func(m metastore.Member) bool { return m.Name == node })
	if i < 0 {
		return 0, errs.Newf(errs.NotFound, "node %s is no member of the metadata quorum", node)
	}
	if members[i].Learner {
		return members[i].ID, nil
	}
	left, answering := 0, 0
	var reasons []string
	for j, m := range members {
		if j == i || m.Learner {
			continue
		}
		left++
		if m.Err == nil {
			answering++
		} else {
			reasons = append(reasons, fmt.Sprintf("%s does not answer: start it first", memberName(m)))
		}
	}
	switch {
	case left == 0:
		return 0, unsafe([]string{"it is the only member of the metadata quorum: all that is known of the cluster is there"}, "remove the metadata member %s", node)
	case answering <= left/2:
		reasons = append(reasons, fmt.Sprintf("without it %d of %d members would answer, which is no quorum", answering, left))
		return 0, unsafe(reasons, "remove the metadata member %s", node)
	}
	return members[i].ID, nil
}

func memberName(m metastore.Member) string {
	if m.Name == "" {
		return fmt.Sprintf("the member at %v, which has never started,", m.PeerURLs)
	}
	return m.Name
}

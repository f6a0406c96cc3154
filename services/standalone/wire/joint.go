package wire

import (
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver"
	"reprise/pkg/metastore"
	"reprise/pkg/quorum"
)

// joint is the log-server of this process as log writer and readers reach it: by direct call.
type joint struct {
	server *logserver.Server
	view   *metastore.View
}

func newJoint(s *logserver.Server, v *metastore.View) *joint { return &joint{server: s, view: v} }

// Dial implements sequencer.Dialer.
func (j *joint) Dial(n id.Node, r logproto.Receiver) logproto.Conn {
	return j.server.Connect(j.server.Self(), r)
}

// Members implements sequencer.Dialer and loglet.Servers.
func (j *joint) Members(nodes []id.Node) []quorum.Member {
	snap := j.view.Current()
	out := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		out[i].Node = n
		if known := snap.Node(n); known != nil {
			out[i].Location, out[i].State = known.Location, known.StorageState
		}
	}
	return out
}

// Server implements loglet.Servers.
func (j *joint) Server(n id.Node) (logproto.Server, error) {
	if n != j.server.Self().Node {
		return nil, errs.Newf(errs.Unavailable, "log-server %s is not part of this process", n)
	}
	return j.server, nil
}

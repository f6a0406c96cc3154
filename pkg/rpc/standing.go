package rpc

import (
	"context"
	"slices"

	"google.golang.org/grpc/status"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/processor"
)

// StandingClient asks the metadata daemons how partitions stand at the workers of the cluster.
type StandingClient struct {
	nodes func() []*storedv1.Node
	conns Conns
}

var _ processor.Workers = (*StandingClient)(nil)

// NewStandingClient returns a client.
func NewStandingClient(nodes func() []*storedv1.Node, conns Conns) *StandingClient {
	return &StandingClient{nodes: nodes, conns: conns}
}

// Standing implements processor.Workers: what the first daemon says that answers. One that has just begun may not know all.
func (c *StandingClient) Standing(ctx context.Context) ([]placement.Attendant, error) {
	err := errs.Newf(errs.Unavailable, "there is no metadata daemon")
	for _, n := range c.nodes() {
		if !slices.Contains(n.Roles, metastore.RoleMetadata) {
			continue
		}
		var alive []placement.Attendant
		if alive, err = c.ask(ctx, id.Node(n.Id)); err == nil {
			return alive, nil
		}
	}
	return nil, err
}

func (c *StandingClient) ask(ctx context.Context, n id.Node) ([]placement.Attendant, error) {
	conn, err := c.conns.Conn(n)
	if err != nil {
		return nil, err
	}
	r, err := clusterv1.NewOperatorServiceClient(conn).Overview(ctx, &clusterv1.OverviewRequest{})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "ask %s how workers stand: %s", n, status.Convert(err).Message())
	}
	alive := make([]placement.Attendant, len(r.Attendants))
	for i, a := range r.Attendants {
		alive[i] = placement.Attendant{ID: id.GenerationalNode{Node: id.Node(a.Node), Generation: a.Generation}, Leaving: a.Leaving}
		for _, s := range a.Statuses {
			alive[i].Statuses = append(alive[i].Statuses, statusOf(s))
		}
	}
	return alive, nil
}

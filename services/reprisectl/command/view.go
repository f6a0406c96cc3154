package command

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc/status"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
)

// view is the cluster as one metadata daemon sees it.
type view struct {
	*clusterv1.OverviewResponse
	logs   []*clusterv1.LogChain      // nil: the metadata quorum does not answer
	idents []*clusterv1.IdentResponse // by index in Nodes; nil: it does not answer
}

// look asks for all that overviews show. Without a quorum there are no logs, which is said.
func (r *runner) look(c *cli.Context) (*view, error) {
	v := &view{}
	err := r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		v.OverviewResponse, err = o.Overview(ctx, &clusterv1.OverviewRequest{})
		if err != nil || len(v.Nodes) == 0 {
			return err
		}
		logs, err := o.Logs(ctx, &clusterv1.LogsRequest{})
		if err != nil {
			r.warn("the metadata store does not answer, so that nothing is known about logs%s: %s", silentMembers(ctx, o), status.Convert(err).Message())
		}
		v.logs = logs.GetLogs()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(v.Nodes) == 0 {
		return nil, errNotProvisioned
	}
	v.idents, err = r.idents(c, v.Nodes)
	return v, err
}

var errNotProvisioned = errors.New("the cluster is not provisioned: see 'reprisectl provision'")

// silentMembers names the members of the metadata quorum that it waits for.
func silentMembers(ctx context.Context, o clusterv1.OperatorServiceClient) string {
	a, err := o.MetadataMembers(ctx, &clusterv1.MetadataMembersRequest{})
	if err != nil {
		return ""
	}
	var silent []string
	for _, m := range a.Members {
		if m.Error != "" {
			silent = append(silent, m.Name)
		}
	}
	if len(silent) == 0 {
		return ""
	}
	return "; it waits for " + strings.Join(silent, ", ")
}

// overview asks for what needs no quorum.
func (r *runner) overview(c *cli.Context) (v *clusterv1.OverviewResponse, err error) {
	err = r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		v, err = o.Overview(ctx, &clusterv1.OverviewRequest{})
		return err
	})
	return v, err
}

// chains asks for all logs.
func (r *runner) chains(c *cli.Context) (l *clusterv1.LogsResponse, err error) {
	err = r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		l, err = o.Logs(ctx, &clusterv1.LogsRequest{})
		return err
	})
	return l, err
}

// attendant is what is heard of a node now, or nil.
func attendant(v *clusterv1.OverviewResponse, n uint32) *clusterv1.Attendant {
	for _, a := range v.Attendants {
		if a.Node == n {
			return a
		}
	}
	return nil
}

// lives tells whether a node is heard of, or holds a lease: metadata daemons are not in each other's rosters at once.
func lives(v *clusterv1.OverviewResponse, n uint32) bool {
	return attendant(v, n) != nil || slices.ContainsFunc(v.Present, func(a *clusterv1.Attendant) bool { return a.Node == n })
}

// roleCount counts the partitions that a node has a role for.
func roleCount(a *clusterv1.Attendant, role clusterv1.PartitionRole) (n int) {
	for _, s := range a.GetStatuses() {
		if s.Role == role {
			n++
		}
	}
	return n
}

// tailOf is the last segment of a log, or nil.
func tailOf(l *clusterv1.LogChain) *storedv1.Segment {
	segments := l.GetChain().GetSegments()
	if len(segments) == 0 {
		return nil
	}
	return segments[len(segments)-1]
}

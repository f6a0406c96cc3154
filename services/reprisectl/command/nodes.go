package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
)

func (r *runner) nodes() *cli.Command {
	which := func() cli.Flag {
		return &cli.StringSliceFlag{Name: "nodes", Aliases: []string{"n"}, Usage: "`IDS` of nodes, such as 1,3", Required: true}
	}
	return &cli.Command{
		Name: "nodes", Aliases: []string{"node"}, Usage: "look at the nodes of the cluster and change their states",
		Subcommands: []*cli.Command{
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the nodes", Flags: []cli.Flag{extraFlag(), jsonFlag()}, Action: r.bare(r.nodesList)},
			{
				Name: "set-worker-state", Usage: "say whether workers may hold partitions", Action: r.bare(r.setWorkerState),
				Flags: []cli.Flag{which(), &cli.StringFlag{Name: "worker-state", Usage: "`STATE`: active, draining, disabled or provisioning", Required: true}, forceFlag(), jsonFlag()},
			},
			{
				Name: "set-storage-state", Usage: "say whether log-servers take new records", Action: r.bare(r.setStorageState),
				Flags: []cli.Flag{which(), &cli.StringFlag{Name: "storage-state", Usage: "`STATE`: read-write, read-only, gone, disabled, data-loss or provisioning", Required: true}, forceFlag(), jsonFlag()},
			},
			{Name: "remove", Aliases: []string{"rm"}, Usage: "take nodes out of the cluster", Flags: []cli.Flag{which(), jsonFlag()}, Action: r.bare(r.nodesRemove)},
		},
	}
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Usage: "do it although it may cost availability"}
}

func (r *runner) nodesList(c *cli.Context) error {
	v, err := r.look(c)
	if err != nil {
		return err
	}
	return r.show(fmt.Sprintf("Node Configuration (v%d)\n", v.NodesVersion), v.nodesTable(c.Bool("extra")))
}

// nodesTable has a line for each node.
func (v *view) nodesTable(extra bool) *listing {
	l := &listing{header: []string{"NODE", "GEN", "NAME", "ADDRESS", "ROLES", "LOCATION", "STORAGE-STATE", "WORKER-STATE"}}
	if extra {
		l.header = append(l.header, "UPTIME", "STATUS", "META", "NODES", "SCHEMA", "VERSION")
	}
	for i, n := range v.Nodes {
		var location any
		if n.Location != "" {
			location = n.Location
		}
		row := []any{
			plain(n.Id), generational(n.Id, n.Generation), n.Name, n.Address, roles(slices.Sorted(slices.Values(n.Roles))), location,
			storageState(n.StorageState), workerState(n.WorkerState),
		}
		if extra {
			row = append(row, v.extra(i)...)
		}
		l.add(row...)
	}
	return l
}

// extra is what a node tells of itself: how far it has seen the metadata, too.
func (v *view) extra(i int) []any {
	n, ident := v.Nodes[i], v.idents[i]
	switch {
	case ident != nil:
		return []any{
			uptime(ident.UptimeMs), stateName(ident.Status.String(), "NODE_STATUS_"), metadataState(n),
			seenVersion(uint64(ident.NodesVersion)), seenVersion(ident.SchemaVersion), ident.Version,
		}
	case lives(v.OverviewResponse, n.Id):
		return []any{nil, "alive, does not answer here", metadataState(n), nil, nil, n.Version}
	default:
		return []any{nil, "dead", metadataState(n), nil, nil, n.Version}
	}
}

// metadataState is what a node is to the metadata quorum. One that stands by has said where others would find it, and not where
// clients do.
func metadataState(n *storedv1.Node) any {
	switch {
	case !slices.Contains(n.Roles, metadataRole):
		return nil
	case n.EtcdPeerUrl != "" && len(n.EtcdClientUrls) == 0:
		return "Standby"
	default:
		return "Member"
	}
}

// seenVersion is one of the metadata; nil: the node has seen none, or does not tell.
func seenVersion(n uint64) any {
	if n == 0 {
		return nil
	}
	return fmt.Sprintf("v%d", n)
}

func (r *runner) setWorkerState(c *cli.Context) error {
	state, err := stateOf("worker-state", c.String("worker-state"), "WORKER_STATE_", storedv1.WorkerState_value)
	if err != nil {
		return err
	}
	return r.setStates(c, c.String("worker-state"), &clusterv1.ChangeNodeRequest{WorkerState: storedv1.WorkerState(state), Force: c.Bool("force")})
}

func (r *runner) setStorageState(c *cli.Context) error {
	state, err := stateOf("storage-state", c.String("storage-state"), "STORAGE_STATE_", storedv1.StorageState_value)
	if err != nil {
		return err
	}
	return r.setStates(c, c.String("storage-state"), &clusterv1.ChangeNodeRequest{StorageState: storedv1.StorageState(state), Force: c.Bool("force")})
}

func (r *runner) setStates(c *cli.Context, name string, req *clusterv1.ChangeNodeRequest) error {
	return r.eachNode(c, "set to "+name, "is "+name, func(ctx context.Context, o clusterv1.OperatorServiceClient, n uint32) error {
		req.Node = n
		_, err := o.ChangeNode(ctx, req)
		return err
	})
}

func (r *runner) nodesRemove(c *cli.Context) error {
	return r.eachNode(c, "removed", "was removed", func(ctx context.Context, o clusterv1.OperatorServiceClient, n uint32) error {
		_, err := o.RemoveNode(ctx, &clusterv1.RemoveNodeRequest{Node: n})
		return err
	})
}

// eachNode changes the nodes that the user names, one after the other; one that can not be changed does not keep the
// others from it.
func (r *runner) eachNode(c *cli.Context, toBe, was string, do func(context.Context, clusterv1.OperatorServiceClient, uint32) error) error {
	nodes, err := parseIDs("'--nodes'", c.StringSlice("nodes"))
	if err != nil {
		return err
	}
	if err := r.confirm(fmt.Sprintf("Nodes %v will be %s. Go on?", plains(nodes), toBe)); err != nil {
		return err
	}
	var failed []error
	for _, n := range nodes {
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) error { return do(ctx, o, n) })
		if err != nil {
			failed = append(failed, err)
			continue
		}
		r.changed(map[string]any{"node": plain(n), "result": was}, "Node %s %s", plain(n), was)
	}
	return errors.Join(failed...)
}

package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/lifecycle"
)

func (r *runner) storage() *cli.Command {
	return &cli.Command{
		Name: "storage", Usage: "look after the databases of nodes",
		Subcommands: []*cli.Command{{
			Name: "compact", Usage: "have databases give back the space of what was deleted; this takes disk and CPU", Action: r.bare(r.compact),
			Flags: []cli.Flag{
				&cli.StringSliceFlag{Name: "database", Aliases: []string{"d", "databases"}, Usage: "`NAMES`: log-server, partition-store; default: all"},
				&cli.StringSliceFlag{Name: "node", Aliases: []string{"n", "nodes"}, Usage: "`IDS` of nodes, such as 1,3; default: all that live and have such databases"},
				jsonFlag(),
			},
		}},
	}
}

// databasesOf are those of a node, by its roles.
func databasesOf(n *storedv1.Node) (names []string) {
	if slices.Contains(n.Roles, "log-server") {
		names = append(names, "log-server")
	}
	if slices.Contains(n.Roles, "worker") {
		names = append(names, "partition-store")
	}
	return names
}

// chosenNodes are those that --node names, or all that live.
func chosenNodes(c *cli.Context, v *clusterv1.OverviewResponse) (nodes []*storedv1.Node, err error) {
	var ids []uint32
	if c.IsSet("node") {
		if ids, err = parseIDs("'--node'", c.StringSlice("node")); err != nil {
			return nil, err
		}
		for _, i := range ids {
			if !slices.ContainsFunc(v.Nodes, func(n *storedv1.Node) bool { return n.Id == i }) {
				return nil, fmt.Errorf("there is no node %s", plain(i))
			}
		}
	}
	for _, n := range v.Nodes {
		if c.IsSet("node") && slices.Contains(ids, n.Id) || !c.IsSet("node") && lives(v, n.Id) {
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

func (r *runner) compact(c *cli.Context) error {
	v, err := r.overview(c)
	if err != nil {
		return err
	}
	nodes, err := chosenNodes(c, v)
	if err != nil {
		return err
	}
	wanted := make([][]string, len(nodes))
	found := false
	for i, n := range nodes {
		wanted[i] = databasesOf(n)
		if names := c.StringSlice("database"); len(names) > 0 {
			wanted[i] = slices.DeleteFunc(wanted[i], func(d string) bool { return !slices.Contains(names, d) })
		}
		found = found || len(wanted[i]) > 0
	}
	if !found {
		return errors.New("no node has such a database: they are called log-server and partition-store")
	}
	done := make([]*clusterv1.CompactResponse, len(nodes))
	failed := make([]error, len(nodes))
	g := lifecycle.NewGroup(c.Context)
	for i, n := range nodes {
		if len(wanted[i]) == 0 {
			continue
		}
		g.Go("compact", func(ctx context.Context) error {
			done[i], failed[i] = compactAt(ctx, c, n, wanted[i])
			return nil // the others go on
		})
	}
	_ = g.Wait() // its goroutines return no error
	l := &listing{header: []string{"NODE", "DATABASE", "BYTES-BEFORE", "BYTES-AFTER"}}
	for i, n := range nodes {
		for _, d := range done[i].GetDatabases() {
			l.add(plain(n.Id), d.Name, d.BytesBefore, d.BytesAfter)
		}
	}
	if err := r.show("", l); err != nil {
		return err
	}
	return errors.Join(failed...)
}

func compactAt(ctx context.Context, c *cli.Context, n *storedv1.Node, databases []string) (*clusterv1.CompactResponse, error) {
	conn, err := dial(c, known(c, n.Address))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // all was received
	if c.IsSet("request-timeout") {     // else it takes as long as it takes
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, millis(c, "request-timeout"))
		defer cancel()
	}
	a, err := clusterv1.NewNodeServiceClient(conn).Compact(ctx, &clusterv1.CompactRequest{Databases: databases})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", plain(n.Id), explained(known(c, n.Address), err))
	}
	return a, nil
}

package command

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
)

func (r *runner) configSetCommand() *cli.Command {
	return &cli.Command{
		Name: "set", Usage: "change how often records and partitions are kept; logs and partitions follow by and by", Action: r.bare(r.configSet),
		Flags: append(replicationFlags(),
			&cli.UintFlag{Name: "num-partitions", Aliases: []string{"n"}, Usage: "not of a cluster that is provisioned: see provision"}, jsonFlag()),
	}
}

func (r *runner) configSet(c *cli.Context) error {
	v, err := r.overview(c)
	if err != nil {
		return err
	}
	if v.Cluster == nil {
		return errNotProvisioned
	}
	if n := uint32(c.Uint("num-partitions")); c.IsSet("num-partitions") && n != v.Cluster.Partitions {
		return fmt.Errorf("the number of partitions is %d since the cluster was provisioned, and can not be changed", v.Cluster.Partitions)
	}
	req := &clusterv1.ConfigureClusterRequest{}
	if req.LogReplication, req.PartitionReplication, req.LogNodesetSize, err = replications(c); err != nil {
		return err
	}
	next := proto.CloneOf(v.Cluster)
	next.PartitionReplication = partitionReplication(v.Cluster)
	if req.LogReplication != "" {
		next.Replication = property(req.LogReplication)
	}
	if req.PartitionReplication != "" {
		next.PartitionReplication = property(req.PartitionReplication)
	}
	if req.LogNodesetSize != nil {
		next.NodesetSize = req.GetLogNodesetSize()
	}
	changes := 0
	for i, line := range settings(v.Cluster) {
		if now := settings(next)[i]; now != line {
			if !r.json {
				r.printf("- %s\n+ %s\n", line, now)
			}
			changes++
		}
	}
	if changes == 0 {
		if r.json {
			return r.printJSON(clusterObject(v.Cluster))
		}
		r.printf("Nothing is to be changed.\n")
		return nil
	}
	if err := r.confirm("The configuration of the cluster will be changed. Go on?"); err != nil {
		return err
	}
	var a *clusterv1.ConfigureClusterResponse
	err = r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		a, err = o.ConfigureCluster(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(clusterObject(a.Cluster))
	}
	r.printCluster(a.Cluster)
	return nil
}

// settings are those that may change, a line for each.
func settings(c *storedv1.Cluster) []string {
	return []string{
		"Partition replication: " + partitionReplication(c), "Log replication: " + c.Replication, fmt.Sprintf("Nodeset size: %d", c.NodesetSize),
	}
}

// partitionReplication is that of logs, unless it is said otherwise.
func partitionReplication(c *storedv1.Cluster) string {
	if c.PartitionReplication != "" {
		return c.PartitionReplication
	}
	return c.Replication
}

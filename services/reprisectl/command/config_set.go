package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/services/internal/argv"
)

func (r *runner) configSetCommand() *cli.Command {
	return &cli.Command{
		Name: "set", Usage: "change how often records and partitions are kept; logs and partitions follow by and by", Action: r.bare(r.configSet),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "replication", Aliases: []string{"r"}, Usage: "`PROPERTY` of logs and partitions, such as 2 or '{zone: 2, node: 3}'"},
			&cli.StringFlag{Name: "log-replication", Usage: "`PROPERTY` of logs"},
			&cli.StringFlag{Name: "partition-replication", Usage: "`PROPERTY` of partitions"},
			&cli.UintFlag{Name: "log-default-nodeset-size", Usage: "`NUMBER` of log-servers that a segment may use; 0: as few as the replication needs"},
			&cli.StringFlag{Name: "log-provider", Usage: "`KIND` of logs: there is only replicated"},
		},
	}
}

func (r *runner) configSet(c *cli.Context) error {
	v, err := r.overview(c)
	if err != nil {
		return err
	}
	if v.Cluster == nil {
		return errors.New("the cluster is not provisioned")
	}
	if kind := c.String("log-provider"); kind != "" && kind != provider {
		return argv.Usagef("invalid value '%s' for '--log-provider': there is only %s", kind, provider)
	}
	req := &clusterv1.ConfigureClusterRequest{LogReplication: c.String("log-replication"), PartitionReplication: c.String("partition-replication")}
	if both := c.String("replication"); both != "" {
		if req.LogReplication != "" || req.PartitionReplication != "" {
			return argv.Usagef("the argument '--replication' cannot be used with '--log-replication' or '--partition-replication'")
		}
		req.LogReplication, req.PartitionReplication = both, both
	}
	next := proto.CloneOf(v.Cluster)
	next.PartitionReplication = partitionReplication(v.Cluster)
	if req.LogReplication != "" {
		next.Replication = req.LogReplication
	}
	if req.PartitionReplication != "" {
		next.PartitionReplication = req.PartitionReplication
	}
	if c.IsSet("log-default-nodeset-size") {
		next.NodesetSize = uint32(c.Uint("log-default-nodeset-size"))
		req.LogNodesetSize = &next.NodesetSize
	}
	changes := 0
	for i, line := range settings(v.Cluster) {
		if now := settings(next)[i]; now != line {
			r.printf("- %s\n+ %s\n", line, now)
			changes++
		}
	}
	if changes == 0 {
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

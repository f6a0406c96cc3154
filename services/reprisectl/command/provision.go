package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/quorum"
	"reprise/services/internal/argv"
)

func (r *runner) provision() *cli.Command {
	return &cli.Command{
		Name: "provision", Usage: "make a cluster of the nodes that wait for it", Action: r.bare(r.provisionCluster),
		Flags: append(replicationFlags(),
			&cli.UintFlag{Name: "num-partitions", Aliases: []string{"n"}, Usage: "`NUMBER` of partitions, for ever"},
			&cli.StringSliceFlag{Name: "disable-feature", Usage: "`NAME` of a feature to go without: there is none"},
			jsonFlag()),
	}
}

// replicationFlags are those of what may change later.
func replicationFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "replication", Aliases: []string{"r"}, Usage: "`PROPERTY` of logs and partitions, such as 2 or '{zone: 2, node: 3}'"},
		&cli.StringFlag{Name: "log-replication", Usage: "`PROPERTY` of logs"},
		&cli.StringFlag{Name: "partition-replication", Usage: "`PROPERTY` of partitions"},
		&cli.UintFlag{Name: "log-default-nodeset-size", Usage: "`NUMBER` of log-servers that a segment may use; 0: as few as the replication needs"},
		&cli.StringFlag{Name: "log-provider", Usage: "`KIND` of logs: there is only " + provider},
	}
}

// replications reads replicationFlags.
func replications(c *cli.Context) (logs, partitions string, nodeset *uint32, err error) {
	if kind := c.String("log-provider"); kind != "" && kind != provider {
		return "", "", nil, argv.Usagef("invalid value '%s' for '--log-provider': there is only %s", kind, provider)
	}
	logs, partitions = c.String("log-replication"), c.String("partition-replication")
	if both := c.String("replication"); both != "" {
		if logs != "" || partitions != "" {
			return "", "", nil, argv.Usagef("the argument '--replication' cannot be used with '--log-replication' or '--partition-replication'")
		}
		logs, partitions = both, both
	}
	if c.IsSet("log-default-nodeset-size") {
		nodeset = proto.Uint32(uint32(c.Uint("log-default-nodeset-size")))
	}
	return logs, partitions, nodeset, nil
}

// provisionCluster shows the cluster as it would be, asks, and creates it. Where there is one it succeeds only if nothing else is
// asked for.
func (r *runner) provisionCluster(c *cli.Context) error {
	req := &clusterv1.ProvisionRequest{Partitions: uint32(c.Uint("num-partitions"))}
	var err error
	if req.LogReplication, req.PartitionReplication, req.LogNodesetSize, err = replications(c); err != nil {
		return err
	}
	if features := c.StringSlice("disable-feature"); len(features) > 0 {
		return argv.Usagef("invalid value '%s' for '--disable-feature': there is no feature that a cluster can go without", features[0])
	}
	if c.IsSet("num-partitions") && req.Partitions == 0 {
		return argv.Usagef("invalid value '0' for '--num-partitions': a cluster has 1 to 65535")
	}
	v, err := r.overview(c)
	if err != nil {
		return fmt.Errorf("%w\n\nOne that has no cluster yet answers here as well: is a metadata daemon at that address?", err)
	}
	if v.Cluster != nil {
		return r.provisioned(v.Cluster, req)
	}
	plan := proto.CloneOf(req)
	plan.DryRun = true
	cluster, err := r.askToProvision(c, plan)
	if err != nil {
		return err
	}
	if !r.json {
		r.printCluster(cluster)
	}
	if err := r.confirm("A cluster like this will be created, with this number of partitions for ever. Go on?"); err != nil {
		return err
	}
	if cluster, err = r.askToProvision(c, req); err != nil {
		return err
	}
	if r.json {
		return r.printJSON(clusterObject(cluster))
	}
	r.printf("✅ The cluster %s (%016x) is provisioned\n", cluster.Name, cluster.Fingerprint)
	return nil
}

func (r *runner) askToProvision(c *cli.Context, req *clusterv1.ProvisionRequest) (cluster *storedv1.Cluster, err error) {
	err = r.ask(c, !req.DryRun, func(ctx context.Context, o clusterv1.OperatorServiceClient) error {
		a, err := o.Provision(ctx, req)
		cluster = a.GetCluster()
		return err
	})
	return cluster, err
}

// provisioned tells that there is a cluster, and what of it is not as it was asked for.
func (r *runner) provisioned(cluster *storedv1.Cluster, req *clusterv1.ProvisionRequest) error {
	var other []string
	differs := func(what string, has, want any) {
		if has != want {
			other = append(other, fmt.Sprintf("%s: it has %v, not %v", what, has, want))
		}
	}
	if req.Partitions != 0 {
		differs("Number of partitions", cluster.Partitions, req.Partitions)
	}
	if req.LogReplication != "" {
		differs("Log replication", cluster.Replication, property(req.LogReplication))
	}
	if req.PartitionReplication != "" {
		differs("Partition replication", partitionReplication(cluster), property(req.PartitionReplication))
	}
	if req.LogNodesetSize != nil {
		differs("Nodeset size", cluster.NodesetSize, req.GetLogNodesetSize())
	}
	if len(other) > 0 {
		return errors.New(branches("The cluster is already provisioned, in another way: nothing was changed. See 'reprisectl config set'\n" + strings.Join(other, "\n")))
	}
	if r.json {
		return r.printJSON(clusterObject(cluster))
	}
	r.printf("The cluster is already provisioned: nothing was changed.\n")
	r.printCluster(cluster)
	return nil
}

// property is a replication as the metadata has it; what can not be read is as it was written.
func property(text string) string {
	if p, err := quorum.Parse(text); err == nil {
		return p.String()
	}
	return text
}

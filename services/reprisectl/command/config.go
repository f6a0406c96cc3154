package command

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	storedv1 "reprise/api/stored/v1"
)

func (r *runner) config() *cli.Command {
	return &cli.Command{
		Name: "config", Aliases: []string{"cfg"}, Usage: "look at the configuration of the cluster and change it",
		Subcommands: []*cli.Command{
			{Name: "get", Usage: "print the configuration of the cluster", Flags: []cli.Flag{jsonFlag()}, Action: r.bare(r.configGet)},
			r.configSetCommand(),
		},
	}
}

func (r *runner) configGet(c *cli.Context) error {
	v, err := r.overview(c)
	if err != nil {
		return err
	}
	if v.Cluster == nil {
		return errors.New("the cluster is not provisioned")
	}
	if r.json {
		return r.printJSON(map[string]any{
			"cluster_name": v.Cluster.Name, "cluster_fingerprint": fmt.Sprintf("%016x", v.Cluster.Fingerprint), "num_partitions": v.Cluster.Partitions,
			"partition_replication": partitionReplication(v.Cluster), "log_replication": v.Cluster.Replication, "log_provider": provider,
			"log_default_nodeset_size": v.Cluster.NodesetSize, "features": v.Cluster.Features,
		})
	}
	r.printCluster(v.Cluster)
	return nil
}

func (r *runner) printCluster(cluster *storedv1.Cluster) {
	r.printf("⚙️ Cluster Configuration\n├ Cluster name: %s (%016x)\n├ Number of partitions: %d\n├ Partition replication: %s\n└ Logs Provider: %s\n ├ Log replication: %s\n └ Nodeset size: %d\n",
		cluster.Name, cluster.Fingerprint, cluster.Partitions, partitionReplication(cluster), provider, cluster.Replication, cluster.NodesetSize)
}

func (r *runner) provision() *cli.Command {
	return &cli.Command{
		Name: "provision", Usage: "make a cluster of the nodes that wait for it", Flags: []cli.Flag{jsonFlag()},
		Action: r.bare(func(c *cli.Context) error {
			// A metadata daemon serves this port once the cluster exists: the one that may make it does so when it starts.
			v, err := r.overview(c)
			if err != nil {
				return fmt.Errorf("%w\n\nA metadata daemon makes the cluster when it starts with auto-provision = true; one that waits for that does not answer yet", err)
			}
			if v.Cluster == nil {
				return errors.New("the cluster is not provisioned, and this daemon can not do it: start a metadata daemon with auto-provision = true")
			}
			if r.json {
				return r.configGet(c)
			}
			r.printf("The cluster is already provisioned: nothing was changed.\n")
			r.printCluster(v.Cluster)
			return nil
		}),
	}
}

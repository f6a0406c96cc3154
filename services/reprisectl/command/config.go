package command

import (
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
		return errNotProvisioned
	}
	if r.json {
		return r.printJSON(clusterObject(v.Cluster))
	}
	r.printCluster(v.Cluster)
	return nil
}

func (r *runner) printCluster(cluster *storedv1.Cluster) {
	r.printf("⚙️ Cluster Configuration\n├ Cluster name: %s (%016x)\n├ Number of partitions: %d\n├ Partition replication: %s\n└ Logs Provider: %s\n ├ Log replication: %s\n └ Nodeset size: %d\n",
		cluster.Name, cluster.Fingerprint, cluster.Partitions, partitionReplication(cluster), provider, cluster.Replication, cluster.NodesetSize)
}

// clusterObject is a cluster for programs.
func clusterObject(cluster *storedv1.Cluster) map[string]any {
	return map[string]any{
		"cluster_name": cluster.Name, "cluster_fingerprint": fmt.Sprintf("%016x", cluster.Fingerprint), "num_partitions": cluster.Partitions,
		"partition_replication": partitionReplication(cluster), "log_replication": cluster.Replication, "log_provider": provider,
		"log_default_nodeset_size": cluster.NodesetSize, "features": cluster.Features,
	}
}

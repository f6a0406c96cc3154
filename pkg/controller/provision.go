package controller

import (
	"math"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/metastore"
	"reprise/pkg/quorum"
)

// Founding is what an operator wants of a new cluster; what is empty is as the configuration of the daemon has it.
type Founding struct {
	Partitions uint32
	Settings
}

// Founded judges what an operator wants and returns the cluster as it shall be. Which nodes there will be is not known yet.
// errs.Invalid: it can not be read.
func Founded(defaults *storedv1.Cluster, want Founding) (*storedv1.Cluster, error) {
	next := proto.CloneOf(defaults)
	if want.Partitions != 0 {
		next.Partitions = want.Partitions
	}
	if next.Partitions > math.MaxUint16 {
		return nil, errs.Newf(errs.Invalid, "%d partitions: a cluster has 1 to %d", next.Partitions, math.MaxUint16)
	}
	if want.Replication != "" {
		next.Replication = want.Replication
	}
	if want.PartitionReplication != "" {
		next.PartitionReplication = want.PartitionReplication
	}
	if want.NodesetSize != nil {
		next.NodesetSize = *want.NodesetSize
	}
	if err := normalize(next); err != nil {
		return nil, err
	}
	return next, nil
}

// normalize writes the replications of a cluster in one way: that of partitions only if it is another one.
func normalize(c *storedv1.Cluster) error {
	logs, err := quorum.Parse(c.Replication)
	if err != nil {
		return err
	}
	partitions, err := quorum.Parse(metastore.PartitionReplication(c))
	if err != nil {
		return err
	}
	c.Replication, c.PartitionReplication = logs.String(), partitions.String()
	if c.PartitionReplication == c.Replication {
		c.PartitionReplication = ""
	}
	return nil
}

// AlreadyFounded is the refusal of a second founding.
func AlreadyFounded(c *storedv1.Cluster) error {
	return errs.Newf(errs.Conflict, "the cluster %s is already provisioned, with %d partitions: nothing was changed", c.Name, c.Partitions)
}

package controller_test

import (
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/metastore"
)

// The version is raised when the last worker runs the newer release, not before.
func TestVersions(t *testing.T) {
	c := newCluster(t, 2)
	for _, n := range []string{"w1", "w2"} {
		c.join(n, metastore.RoleWorker)
	}
	for range 2 { // metadata daemons
		c.group.Go("versions", controller.NewVersions(c.view, c.store, c.host).Run)
	}
	for _, n := range []string{"w1", "w2"} {
		if s := c.view.Current(); s.Cluster.PartitionVersion != 0 {
			t.Fatalf("before %s is upgraded, the version is %d", n, s.Cluster.PartitionVersion)
		}
		if _, err := c.store.RegisterNode(t.Context(), &storedv1.Node{Name: n, Roles: []string{metastore.RoleWorker}, PartitionVersion: 1}, 0, 1); err != nil {
			t.Fatal(err)
		}
	}
	c.await("the version", func(s *metastore.Snapshot) bool { return s.Cluster.PartitionVersion == 1 })
}

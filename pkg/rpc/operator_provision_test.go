package rpc_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/placement"
	"reprise/pkg/rpc"
)

// A daemon without a cluster serves a port that is lent to it, so that operators may provision, once. Then the port is its own
// again.
func TestFounder(t *testing.T) {
	h := hosttest.Real(1)
	cfg := config.Default()
	cfg.BindAddress = "127.0.0.1:0"
	ln, err := rpc.Listen(t.Context(), cfg.Fabric())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lent, giveBack, err := rpc.Lend(ln)
	if err != nil {
		t.Fatal(err)
	}
	store := metastore.New(metatest.NewFake(), "c", h)
	f := rpc.NewFabric(rpc.FabricConfig{KeepAlive: time.Second, KeepAliveTimeout: time.Second}, lent, rpc.NewNodeStatus(&cfg, nil, "1.0", h), h)
	rpc.NewFounderServer(store, &storedv1.Cluster{Name: "c", Partitions: 24, Replication: "{node: 1}", PartitionVersion: 3}, h).Register(f.GRPC())
	ctx, cancel := context.WithCancel(context.Background())
	room := lifecycle.NewGroup(ctx)
	room.Go("fabric", f.Run)
	conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), append(rpc.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	client := clusterv1.NewOperatorServiceClient(conn)

	if v, err := client.Overview(t.Context(), &clusterv1.OverviewRequest{}); err != nil || v.Cluster != nil {
		t.Errorf("before: %v %v", v, err)
	}
	if _, err := client.Provision(t.Context(), &clusterv1.ProvisionRequest{LogReplication: "many"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("many copies: %v", err)
	}
	plan, err := client.Provision(t.Context(), &clusterv1.ProvisionRequest{Partitions: 6, LogReplication: "2", DryRun: true})
	if err != nil || plan.Cluster.Partitions != 6 || plan.Cluster.Replication != "{node: 2}" || plan.Cluster.Name != "c" || plan.Cluster.Fingerprint != 0 {
		t.Errorf("plan: %v %v", plan, err)
	}
	if c, err := store.Cluster(t.Context()); !errs.Is(err, errs.NotFound) {
		t.Errorf("a plan created %v %v", c, err)
	}
	answers := make(chan error, 2)
	g := lifecycle.NewGroup(t.Context())
	for range 2 {
		g.Go("provision", func(ctx context.Context) error {
			_, err := client.Provision(ctx, &clusterv1.ProvisionRequest{Partitions: 6})
			answers <- err
			return nil
		})
	}
	first, second := <-answers, <-answers
	if first != nil {
		first, second = second, first
	}
	if first != nil || !errs.Is(second, errs.Conflict) {
		t.Errorf("two at once: %v and %v", first, second)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if c, err := store.Cluster(t.Context()); err != nil || c.Partitions != 6 || c.PartitionVersion != 3 || c.Fingerprint == 0 {
		t.Errorf("created %v %v", c, err)
	}

	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := room.Wait(); err != nil {
		t.Error(err)
	}
	if err := giveBack(); err != nil {
		t.Error(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatalf("the port was not given back: %v", err)
	}
	_ = accepted.Close()
}

func TestProvisionTwice(t *testing.T) {
	o := operate(t, &attendants{alive: []placement.Attendant{at(1, placement.Leads)}})
	for _, dry := range []bool{true, false} {
		if _, err := o.client.Provision(t.Context(), &clusterv1.ProvisionRequest{Partitions: 1, DryRun: dry}); !errs.Is(err, errs.Conflict) {
			t.Errorf("dry run %t: %v", dry, err)
		}
	}
}

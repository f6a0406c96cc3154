package rpc_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/pkg/errs"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

func TestOperatorSteers(t *testing.T) {
	calls := make(chan placement.Call, 1) // one pin calls
	o := operate(t, &attendants{alive: []placement.Attendant{at(1, placement.Leads), follows(2)}, call: func(c placement.Call) bool {
		calls <- c
		return true
	}})
	_, err := o.client.PlacePartition(t.Context(), &clusterv1.PlacePartitionRequest{Replicas: []uint32{2}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.client.PlacePartition(t.Context(), &clusterv1.PlacePartitionRequest{Freeze: proto.String("maintenance")})
	if err != nil || !slices.Equal(r.Epoch.Next, []uint32{2}) || r.Directive.GetPlacementFrozen() != "maintenance" {
		t.Fatalf("%v %v", r, err)
	}
	if _, err := o.client.PlacePartition(t.Context(), &clusterv1.PlacePartitionRequest{Replicas: []uint32{1, 7}}); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "there is no node N7") {
		t.Errorf("placed on nobody: %v", err)
	}
	if _, err := o.client.PlacePartition(t.Context(), &clusterv1.PlacePartitionRequest{Partition: 9}); !errs.Is(err, errs.NotFound) {
		t.Errorf("placed no partition: %v", err)
	}
	for _, bad := range []*clusterv1.PlacePartitionRequest{{Freeze: proto.String("")}, {Freeze: proto.String("x"), Unfreeze: true}} {
		if _, err := o.client.PlacePartition(t.Context(), bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	p, err := o.client.SteerLeader(t.Context(), &clusterv1.SteerLeaderRequest{Pin: proto.Uint32(2)})
	if err != nil || p.Directive.GetPin() != 2 || p.Directive.GetPlacementFrozen() != "maintenance" {
		t.Fatalf("%v %v", p, err)
	}
	if c := <-calls; c != (placement.Call{Node: 2, Over: 1}) {
		t.Errorf("called %v", c)
	}
	if p, err = o.client.SteerLeader(t.Context(), &clusterv1.SteerLeaderRequest{Pin: proto.Uint32(0), Freeze: proto.String("audit")}); err != nil || p.Directive.GetPin() != 0 || p.Directive.GetLeadershipFrozen() != "audit" {
		t.Fatalf("%v %v", p, err)
	}
	if _, err := o.client.SteerLeader(t.Context(), &clusterv1.SteerLeaderRequest{Freeze: proto.String("")}); !errs.Is(err, errs.Invalid) {
		t.Errorf("frozen without a reason: %v", err)
	}
	if _, err := o.view.Await(t.Context(), func(s *metastore.Snapshot) bool { return s.Directives[0].GetLeadershipFrozen() == "audit" }); err != nil {
		t.Fatal(err)
	}
	v, err := o.client.Overview(t.Context(), &clusterv1.OverviewRequest{})
	if err != nil || len(v.Directives) != 1 || v.Directives[0].GetLeadershipFrozen() != "audit" || !slices.Equal(v.Epochs[0].Next, []uint32{2}) {
		t.Errorf("%v %v", v, err)
	}
}

func TestOperatorConfigures(t *testing.T) {
	o := operate(t, &attendants{})
	c, err := o.client.ConfigureCluster(t.Context(), &clusterv1.ConfigureClusterRequest{PartitionReplication: "2"})
	if err != nil || c.Cluster.GetPartitionReplication() != "{node: 2}" || c.Cluster.GetReplication() != "{node: 1}" {
		t.Fatalf("%v %v", c, err)
	}
	if _, err := o.client.ConfigureCluster(t.Context(), &clusterv1.ConfigureClusterRequest{PartitionReplication: "3"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("three of two: %v", err)
	}
	if _, err := o.client.ConfigureCluster(t.Context(), &clusterv1.ConfigureClusterRequest{LogReplication: "two"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("two: %v", err)
	}
}

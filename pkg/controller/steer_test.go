package controller_test

import (
	"slices"
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// steerable are facts of which all workers run.
func steerable() *metastore.Facts {
	f := facts()
	f.Directives = []*storedv1.Directive{{}, {}}
	f.Present = append(f.Present, id.GenerationalNode{Node: 3, Generation: 1}, id.GenerationalNode{Node: 4, Generation: 1})
	return f
}

func TestSteered(t *testing.T) {
	pin := func(n id.Node) *id.Node { return &n }
	why := "maintenance"
	for _, row := range []struct {
		name string
		prep func(*metastore.Facts)
		want controller.Steer
		sets placement.Replicas
		dir  *storedv1.Directive
		err  string // part of the error; "": it is done
	}{
		{"another set", nil, controller.Steer{Replicas: []id.Node{4, 2}}, placement.Replicas{Current: []id.Node{2, 3}, Next: []id.Node{4, 2}}, &storedv1.Directive{}, ""},
		{"another set, frozen", nil, controller.Steer{Replicas: []id.Node{4, 2}, FreezePlacement: why}, placement.Replicas{Current: []id.Node{2, 3}, Next: []id.Node{4, 2}}, &storedv1.Directive{PlacementFrozen: &why}, ""},
		{"the same set ends a move", func(f *metastore.Facts) { f.Epochs[0].Next = []uint32{2, 4} }, controller.Steer{Replicas: []id.Node{2, 3}}, placement.Replicas{Current: []id.Node{2, 3}}, &storedv1.Directive{}, ""},
		{"nobody has led", func(f *metastore.Facts) { f.Epochs[0] = &storedv1.Epoch{Replicas: []uint32{2, 3}} }, controller.Steer{Replicas: []id.Node{3, 4}}, placement.Replicas{Current: []id.Node{3, 4}}, &storedv1.Directive{}, ""},
		{"too few", nil, controller.Steer{Replicas: []id.Node{4}}, placement.Replicas{}, nil, "they do not satisfy the replication of partitions, {node: 2}"},
		{"one twice", nil, controller.Steer{Replicas: []id.Node{4, 4}}, placement.Replicas{}, nil, "N4 is named twice"},
		{"no worker", nil, controller.Steer{Replicas: []id.Node{1, 2}}, placement.Replicas{}, nil, "N1 is no worker"},
		{"no node", nil, controller.Steer{Replicas: []id.Node{2, 9}}, placement.Replicas{}, nil, "there is no node N9"},
		{"one drains", func(f *metastore.Facts) { f.Node(4).WorkerState = draining }, controller.Steer{Replicas: []id.Node{2, 4}}, placement.Replicas{}, nil, "N4 is draining"},
		{"one is away", func(f *metastore.Facts) { f.Present = f.Present[:3] }, controller.Steer{Replicas: []id.Node{2, 4}}, placement.Replicas{}, nil, "N4 does not run"},
		{"one zone for two", func(f *metastore.Facts) { f.Cluster.PartitionReplication = "{zone: 2, node: 2}" }, controller.Steer{Replicas: []id.Node{2, 4}}, placement.Replicas{}, nil, "{zone: 2, node: 2}"},
		{"two zones", func(f *metastore.Facts) {
			f.Cluster.PartitionReplication, f.Node(4).Location = "{zone: 2, node: 2}", "eu.b"
		}, controller.Steer{Replicas: []id.Node{2, 4}}, placement.Replicas{Current: []id.Node{2, 3}, Next: []id.Node{2, 4}}, &storedv1.Directive{}, ""},
		{"pin", nil, controller.Steer{Pin: pin(3)}, placement.Replicas{Current: []id.Node{2, 3}}, &storedv1.Directive{Pin: 3}, ""},
		{"unpin", func(f *metastore.Facts) { f.Directives[0].Pin = 3 }, controller.Steer{Pin: pin(0)}, placement.Replicas{Current: []id.Node{2, 3}}, &storedv1.Directive{}, ""},
		{"pin who does not hold it", nil, controller.Steer{Pin: pin(4)}, placement.Replicas{}, nil, "N4 does not hold it"},
		{"pin who drains", func(f *metastore.Facts) { f.Node(3).WorkerState = draining }, controller.Steer{Pin: pin(3)}, placement.Replicas{}, nil, "N3 is draining"},
		{"freeze", nil, controller.Steer{FreezeLeader: why}, placement.Replicas{Current: []id.Node{2, 3}}, &storedv1.Directive{LeadershipFrozen: &why}, ""},
		{"unfreeze", func(f *metastore.Facts) {
			f.Directives[0].LeadershipFrozen, f.Directives[0].PlacementFrozen = &why, &why
		}, controller.Steer{UnfreezeLeader: true}, placement.Replicas{Current: []id.Node{2, 3}}, &storedv1.Directive{PlacementFrozen: &why}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := steerable()
			if row.prep != nil {
				row.prep(f)
			}
			got, err := controller.Steered(f, 0, row.want)
			if row.err != "" {
				if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), row.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !slices.Equal(got.Replicas.Current, row.sets.Current) || !slices.Equal(got.Replicas.Next, row.sets.Next) {
				t.Fatalf("%+v, %v", got, err)
			}
			if got.Directive.Pin != row.dir.Pin || got.Directive.GetPlacementFrozen() != row.dir.GetPlacementFrozen() || got.Directive.GetLeadershipFrozen() != row.dir.GetLeadershipFrozen() {
				t.Errorf("directive %v", got.Directive)
			}
		})
	}
}

func TestConfigured(t *testing.T) {
	size := uint32(3)
	for _, row := range []struct {
		name             string
		prep             func(*metastore.Facts)
		want             controller.Settings
		logs, partitions string
		err              string
	}{
		{"nothing", nil, controller.Settings{}, "{node: 2}", "", ""},
		{"both", nil, controller.Settings{Replication: "3", PartitionReplication: "3"}, "{node: 3}", "", ""},
		{"logs", nil, controller.Settings{Replication: "3"}, "{node: 3}", "{node: 2}", ""},
		{"partitions", nil, controller.Settings{PartitionReplication: "{node: 3}"}, "{node: 2}", "{node: 3}", ""},
		{"the size of nodesets", nil, controller.Settings{NodesetSize: &size}, "{node: 2}", "", ""},
		{"no property", nil, controller.Settings{Replication: "{}"}, "", "", "replication"},
		{"too few log-servers", nil, controller.Settings{Replication: "4"}, "", "", "3 writeable log-servers cannot hold {node: 4}"},
		{"too few log-servers take records", func(f *metastore.Facts) { f.Node(4).StorageState = readOnly }, controller.Settings{Replication: "3"}, "", "", "2 writeable log-servers"},
		{"too few workers", nil, controller.Settings{PartitionReplication: "4"}, "", "", "3 active workers can not hold partitions as {node: 4} says"},
		{"a worker drains", func(f *metastore.Facts) { f.Node(4).WorkerState = draining }, controller.Settings{PartitionReplication: "3"}, "", "", "2 active workers"},
		{"too few zones", nil, controller.Settings{PartitionReplication: "{zone: 2, node: 2}"}, "", "", "3 active workers can not hold"},
	} {
		f := steerable()
		if row.prep != nil {
			row.prep(f)
		}
		c, err := controller.Configured(f, row.want)
		switch {
		case row.err != "":
			if err == nil || !strings.Contains(err.Error(), row.err) || !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %v", row.name, err)
			}
		case err != nil || c.Replication != row.logs || c.PartitionReplication != row.partitions || row.want.NodesetSize != nil && c.NodesetSize != size:
			t.Errorf("%s: %v, %v", row.name, c, err)
		}
	}
}

// An operator's freeze binds operators, too: they unfreeze first.
func TestToLeadIsFrozen(t *testing.T) {
	why := "maintenance"
	s := &metastore.Snapshot{Epochs: []*storedv1.Epoch{{Epoch: 3, Node: 2, Generation: 1, Replicas: []uint32{2, 3}}}, Directives: []*storedv1.Directive{{LeadershipFrozen: &why}}}
	alive := []placement.Attendant{{ID: gen(3, 1), Statuses: []placement.Status{followsAt(1)}}}
	if _, _, err := controller.ToLead(s, alive, 0, 3); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v", err)
	}
}

package metastore_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/placement"
)

// hold writes who holds a partition.
func hold(t *testing.T, s *metastore.Store, p id.Partition, r placement.Replicas) {
	t.Helper()
	_, err := s.Assign(t.Context(), uint32(p)+1, func(epochs []*storedv1.Epoch) []placement.Replicas {
		all := replicas(epochs)
		all[p] = r
		return all
	})
	if err != nil {
		t.Fatal(err)
	}
}

func replicas(epochs []*storedv1.Epoch) (all []placement.Replicas) {
	for _, e := range epochs {
		all = append(all, metastore.ReplicasOf(e))
	}
	return all
}

func TestAssign(t *testing.T) {
	s, f := newStore(t)
	me := register(t, s, "a")
	const partitions = 300 // more than a transaction holds
	f.Inject = func(op string, n int) metatest.Fault { return pick(op == "txn" && n == 3, metatest.LostAfter) }
	plan := func(epochs []*storedv1.Epoch) []placement.Replicas {
		all := replicas(epochs)
		for p := range all {
			if len(all[p].Current) == 0 {
				all[p] = placement.Replicas{Current: []id.Node{1}, Next: []id.Node{1, 2}}
			}
		}
		return all
	}
	if _, err := s.Assign(t.Context(), partitions, plan); err != nil {
		t.Fatal(err)
	}
	l := must[metastore.Lineage](t)(takeOver(t.Context(), s, 299, must[metastore.Lineage](t)(s.Lineage(t.Context(), 299)), me, 1))
	if r := metastore.ReplicasOf(l.Epoch); len(r.Current) != 1 {
		t.Errorf("epoch %v", l.Epoch)
	}
	if n, err := s.Assign(t.Context(), partitions, plan); n != 0 || err != nil {
		t.Errorf("a second time: %d changes, %v", n, err)
	}
	_, err := s.Assign(t.Context(), partitions, func(epochs []*storedv1.Epoch) []placement.Replicas {
		l = must[metastore.Lineage](t)(takeOver(t.Context(), s, 299, l, me, 2))
		all := replicas(epochs)
		all[299].Current = []id.Node{2}
		return all
	})
	if !errs.Is(err, errs.Conflict) {
		t.Errorf("beside a take-over: %v", err)
	}
	if now := must[metastore.Lineage](t)(s.Lineage(t.Context(), 299)); now.Epoch.Epoch != 2 || now.Epoch.Replicas[0] != 1 {
		t.Errorf("epoch %v", now.Epoch)
	}
}

// What an operator decides is judged by what it is written on.
func TestSteerPartition(t *testing.T) {
	s, _ := newStore(t)
	must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 2, Replication: "{node: 1}"}))
	n1 := register(t, s, "n1", metastore.RoleWorker)
	lead(t, s, 0, n1)
	lead(t, s, 1, n1)
	why := "maintenance"
	for _, race := range []struct {
		name  string
		do    func()
		asked int
	}{
		{"nothing", func() {}, 1},
		{"a take-over", func() { lead(t, s, 1, n1) }, 2},
		{"a take-over of another partition", func() { lead(t, s, 0, n1) }, 1},
		{"another node", func() { register(t, s, "n2") }, 2},
	} {
		asked := 0
		pin := uint32(len(race.name))
		e, d, err := s.SteerPartition(t.Context(), 1, func(f *metastore.Facts) (metastore.Steering, error) {
			if asked++; asked == 1 {
				race.do()
			}
			d := proto.CloneOf(f.Directives[1])
			d.Pin, d.PlacementFrozen = pin, &why
			return metastore.Steering{Replicas: placement.Replicas{Current: metastore.ReplicasOf(f.Epochs[1]).Current, Next: []id.Node{2}}, Directive: d}, nil
		})
		if err != nil || asked != race.asked || d.GetPin() != pin || d.GetPlacementFrozen() != why || !slices.Equal(e.GetNext(), []uint32{2}) {
			t.Errorf("%s: asked %d times, %v %v %v", race.name, asked, e, d, err)
		}
		f := must[*metastore.Facts](t)(s.Facts(t.Context()))
		if !proto.Equal(f.Directives[1], d) || !proto.Equal(f.Epochs[1], e) || f.Directives[0].GetPin() != 0 {
			t.Errorf("%s: stored are %v and %v", race.name, f.Directives, f.Epochs)
		}
	}
	no := errs.Newf(errs.Conflict, "no")
	if _, _, err := s.SteerPartition(t.Context(), 1, func(*metastore.Facts) (metastore.Steering, error) { return metastore.Steering{}, no }); !errs.Is(err, errs.Conflict) {
		t.Errorf("refused: %v", err)
	}
	if _, _, err := s.SteerPartition(t.Context(), 2, nil); !errs.Is(err, errs.NotFound) {
		t.Errorf("no partition: %v", err)
	}
}

// Partitions have as many copies as records, unless it is said otherwise.
func TestPartitionReplication(t *testing.T) {
	c := &storedv1.Cluster{Replication: "{node: 2}"}
	if got := metastore.PartitionReplication(c); got != "{node: 2}" {
		t.Error(got)
	}
	c.PartitionReplication = "{node: 3}"
	if got := metastore.PartitionReplication(c); got != "{node: 3}" {
		t.Error(got)
	}
}

package metastore_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// lead makes a node the next leader of a partition.
func lead(t *testing.T, s *metastore.Store, p id.Partition, me id.GenerationalNode) {
	t.Helper()
	was := must[metastore.Lineage](t)(s.Lineage(t.Context(), p))
	index := uint32(len(was.Chain.Segments))
	next := proto.CloneOf(was.Epoch)
	next.Epoch, next.Node, next.Generation = was.Epoch.Epoch+1, uint32(me.Node), me.Generation
	chain := proto.CloneOf(was.Chain)
	chain.Segments = append(chain.Segments, &storedv1.Segment{Index: index, Base: uint64(index) + 1, Loglet: &storedv1.Loglet{Id: uint64(id.NewLoglet(p, index)), Nodeset: []uint32{1}}})
	must[metastore.Lineage](t)(s.TakeOver(t.Context(), p, was, next, chain, me))
}

func TestFacts(t *testing.T) {
	s, _ := newStore(t)
	if _, err := s.Facts(t.Context()); !errs.Is(err, errs.NotFound) {
		t.Fatalf("before: %v", err)
	}
	must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 3}))
	n1, n2 := register(t, s, "n1", metastore.RoleWorker), register(t, s, "n2")
	for range 100 { // pages fill
		lead(t, s, 1, n1)
	}
	lead(t, s, 2, n2)
	f := must[*metastore.Facts](t)(s.Facts(t.Context()))
	if len(f.Nodes) != 2 || f.Node(1).GetName() != "n1" || f.Node(3) != nil || len(f.Epochs) != 3 || len(f.Logs) != 3 {
		t.Fatalf("found %+v", f)
	}
	if f.Epochs[0].Epoch != 0 || f.Epochs[1].Epoch != 100 || f.Epochs[2].Node != 2 {
		t.Errorf("epochs %v", f.Epochs)
	}
	if f.Logs[0].Version != 0 || len(f.Logs[0].Chain.Segments) != 0 || f.Logs[2].Version <= f.Logs[1].Version {
		t.Errorf("versions %d %d %d", f.Logs[0].Version, f.Logs[1].Version, f.Logs[2].Version)
	}
	one := must[metastore.Lineage](t)(s.Lineage(t.Context(), 1))
	if !proto.Equal(f.Logs[1].Chain, one.Chain) || one.Chain.Pages == 0 || len(one.Chain.Segments) != 100 {
		t.Errorf("chain of %d segments in %d pages, want %d in %d", len(f.Logs[1].Chain.Segments), f.Logs[1].Chain.Pages, len(one.Chain.Segments), one.Chain.Pages)
	}
}

// What a change was judged by must still be so when it is written; else it is judged again.
func TestChangeNode(t *testing.T) {
	s, _ := newStore(t)
	must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 2}))
	n1, n2 := register(t, s, "n1", metastore.RoleWorker), register(t, s, "n2", metastore.RoleWorker)
	for _, race := range []struct {
		name string
		do   func()
	}{
		{"a take-over", func() { lead(t, s, 0, n1) }},
		{"placement", func() { hold(t, s, 1, placement.Replicas{Current: []id.Node{2}}) }},
		{"the replication", func() {
			if _, err := s.ChangeCluster(t.Context(), func(f *metastore.Facts) (*storedv1.Cluster, error) {
				next := proto.CloneOf(f.Cluster)
				next.Replication = "{node: 2}"
				return next, nil
			}); err != nil {
				t.Fatal(err)
			}
		}},
		{"another node", func() { register(t, s, "n3") }},
		{"the node itself", func() { register(t, s, "n2", metastore.RoleWorker) }},
	} {
		judged := 0
		drain := storedv1.WorkerState_WORKER_STATE_DRAINING
		if f := must[*metastore.Facts](t)(s.Facts(t.Context())); f.Node(n2.Node).WorkerState == drain {
			drain = storedv1.WorkerState_WORKER_STATE_ACTIVE
		}
		got, err := s.ChangeNode(t.Context(), n2.Node, func(f *metastore.Facts) (*storedv1.Node, error) {
			if judged++; judged == 1 {
				race.do()
			}
			next := proto.CloneOf(f.Node(n2.Node))
			next.WorkerState = drain
			return next, nil
		})
		if err != nil || judged != 2 || got.WorkerState != drain {
			t.Errorf("%s: judged %d times, %v, %v", race.name, judged, got, err)
		}
	}
	no := errs.Newf(errs.Conflict, "no")
	if _, err := s.ChangeNode(t.Context(), n2.Node, func(*metastore.Facts) (*storedv1.Node, error) { return nil, no }); !errs.Is(err, errs.Conflict) {
		t.Errorf("refused: %v", err)
	}
	if _, err := s.ChangeNode(t.Context(), 77, func(*metastore.Facts) (*storedv1.Node, error) { return nil, nil }); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// A removed node's name is free, its id is not: a process that still has the id is refused.
func TestRemoveNode(t *testing.T) {
	s, _ := newStore(t)
	must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 1}))
	register(t, s, "n1")
	n2 := register(t, s, "n2")
	if _, err := s.ChangeNode(t.Context(), n2.Node, func(*metastore.Facts) (*storedv1.Node, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if nodes := must[[]*storedv1.Node](t)(s.Nodes(t.Context())); len(nodes) != 1 {
		t.Fatalf("left %v", nodes)
	}
	if _, err := s.RegisterNode(t.Context(), &storedv1.Node{Name: "n2"}, uint32(n2.Node), n2.Generation); !errs.Is(err, errs.Invalid) {
		t.Errorf("the old process: %v", err)
	}
	if again := register(t, s, "n2"); again.Node != 3 {
		t.Errorf("the name again: %s", again)
	}
}

func onlyEpoch(e *storedv1.Epoch, _ *storedv1.Directive, err error) (*storedv1.Epoch, error) {
	return e, err
}

func TestDocuments(t *testing.T) {
	s, _ := newStore(t)
	must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 1}))
	lead(t, s, 0, register(t, s, "n1"))
	must[*storedv1.Epoch](t)(onlyEpoch(s.SteerPartition(t.Context(), 0, func(f *metastore.Facts) (metastore.Steering, error) {
		return metastore.Steering{Replicas: metastore.ReplicasOf(f.Epochs[0]), Directive: &storedv1.Directive{Pin: 1}}, nil
	})))
	for _, name := range []string{"cluster", "nodes/1", "epochs/0", "chains/0", "directives/0"} {
		doc, version, err := s.Document(t.Context(), name)
		if err != nil || version == 0 {
			t.Fatalf("%s: %v at %d, %v", name, doc, version, err)
		}
		if err := s.PutDocument(t.Context(), name, doc, version); err != nil {
			t.Errorf("put %s: %v", name, err)
		}
		if err := s.PutDocument(t.Context(), name, doc, version); !errs.Is(err, errs.Conflict) {
			t.Errorf("put %s again: %v", name, err)
		}
		again, now, err := s.Document(t.Context(), name)
		if err != nil || now <= version || !proto.Equal(doc, again) {
			t.Errorf("%s is %v at %d, %v", name, again, now, err)
		}
	}
	for name, code := range map[string]errs.Code{
		"nodes/2": errs.NotFound, "schema": errs.NotFound, "nodes": errs.Invalid, "nodes/x": errs.Invalid, "epochs/65536": errs.Invalid,
		"names/n1": errs.Invalid, "": errs.Invalid, "cluster/1": errs.Invalid,
	} {
		if _, _, err := s.Document(t.Context(), name); !errs.Is(err, code) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

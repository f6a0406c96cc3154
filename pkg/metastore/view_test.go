package metastore_test

import (
	"context"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/placement"
	"reprise/pkg/schema"
)

// runView starts a view and returns a function that waits for a state of it.
func runView(t *testing.T, s *metastore.Store) (*metastore.View, func(what string, ok func(*metastore.Snapshot) bool) *metastore.Snapshot) {
	t.Helper()
	v := metastore.NewView(s, schema.Default(), hosttest.Real(1))
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("view", v.Run)
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	<-v.Ready()
	return v, func(what string, ok func(*metastore.Snapshot) bool) *metastore.Snapshot {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		snap, err := v.Await(ctx, ok)
		if err != nil {
			t.Fatalf("never saw %s: %v; now %+v", what, err, v.Current())
		}
		return snap
	}
}

func TestViewFollows(t *testing.T) {
	s, f := newStore(t)
	v, await := runView(t, s)
	if snap := v.Current(); snap.Cluster != nil || snap.Registry == nil || snap.Node(1) != nil {
		t.Fatalf("before all: %+v", snap)
	}
	if _, err := s.Provision(t.Context(), &storedv1.Cluster{Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	first := await("the cluster", func(s *metastore.Snapshot) bool { return s.Cluster != nil && len(s.Epochs) == 3 })
	me := register(t, s, "a", "worker")
	hold(t, s, 1, placement.Replicas{Current: []id.Node{me.Node}})
	await("the replicas", func(s *metastore.Snapshot) bool { return len(s.Epochs[1].Replicas) == 1 && s.Node(1) != nil })
	if len(first.Nodes) != 0 || len(first.Epochs[1].Replicas) != 0 {
		t.Error("an old snapshot changed")
	}
	if _, err := s.UpdateSchema(t.Context(), func(sch *storedv1.Schema) (*storedv1.Schema, error) {
		return &storedv1.Schema{Deployments: []*storedv1.Deployment{{Id: make([]byte, 16), Services: []*storedv1.Service{{Name: "greeter", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1}}}}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	snap := await("the schema", func(s *metastore.Snapshot) bool { return s.Registry.Version() == 1 })
	if _, ok := snap.Registry.Service("greeter"); !ok {
		t.Error("the service is missing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("presence", func(ctx context.Context) error { return s.AnnouncePresence(ctx, me, time.Second, func() {}) })
	await("presence", func(s *metastore.Snapshot) bool { return len(s.Present) == 1 && s.Present[0].ID == me })
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	await("absence", func(s *metastore.Snapshot) bool { return len(s.Present) == 0 })

	f.Compact() // the running watch is not behind; only a new one reads all again
	register(t, s, "a", "worker")
	await("the new generation", func(s *metastore.Snapshot) bool { return s.Node(1).Generation == 2 })
}

// A view that can not read keeps trying.
func TestViewReadsAgainAfterTrouble(t *testing.T) {
	s, f := newStore(t)
	if _, err := s.Provision(t.Context(), &storedv1.Cluster{Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	f.Inject = func(op string, n int) metatest.Fault { return pick(op == "read" && n < 5, metatest.Refused) }
	v, _ := runView(t, s)
	if v.Current().Partitions != 3 {
		t.Errorf("ready with %+v", v.Current())
	}
}

func TestViewOfEtcd(t *testing.T) {
	e := openEmbedded(t, t.TempDir())
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	s := metastore.New(e.KV(), "test", hosttest.Real(1))
	_, await := runView(t, s)
	if _, err := s.Provision(t.Context(), &storedv1.Cluster{Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	me := register(t, s, "a", "worker")
	l := must[metastore.Lineage](t)(s.Lineage(t.Context(), 2))
	l = must[metastore.Lineage](t)(takeOver(t.Context(), s, 2, l, me, 1))
	snap := await("the leader", func(s *metastore.Snapshot) bool { return len(s.Epochs) == 3 && s.Epochs[2].Epoch == 1 })
	if snap.Epochs[2].Node != uint32(me.Node) || l.Epoch.Epoch != 1 {
		t.Errorf("epoch %v", snap.Epochs[2])
	}
}

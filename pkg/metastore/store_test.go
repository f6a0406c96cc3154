package metastore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
)

func newStore(t *testing.T) (*metastore.Store, *metatest.Fake) {
	t.Helper()
	f := metatest.NewFake()
	return metastore.New(f, "test", hosttest.Real(1)), f
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func register(t *testing.T, s *metastore.Store, name string, roles ...string) id.GenerationalNode {
	t.Helper()
	n := must[*storedv1.Node](t)(s.RegisterNode(t.Context(), &storedv1.Node{Name: name, Roles: roles}, 0, 0))
	return id.GenerationalNode{Node: id.Node(n.Id), Generation: n.Generation}
}

func TestProvisionFirstWins(t *testing.T) {
	s, _ := newStore(t)
	if _, err := s.Cluster(t.Context()); !errs.Is(err, errs.NotFound) {
		t.Fatalf("before: %v", err)
	}
	first := must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 24}))
	second := must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 3}))
	if first.Fingerprint == 0 || !proto.Equal(first, second) || second.Partitions != 24 || second.Name != "test" {
		t.Errorf("first %v, second %v", first, second)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	s, f := newStore(t)
	b := must[[]byte](t)((&storedv1.Cluster{Name: "test", Format: metastore.Format + 1}).MarshalVT())
	if _, _, err := f.Txn(t.Context(), nil, []metastore.Write{{Key: "/reprise/v1/test/cluster", Value: b}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Provision(t.Context(), &storedv1.Cluster{}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("got %v", err)
	}
}

func TestRegisterNode(t *testing.T) {
	s, _ := newStore(t)
	for _, c := range []struct {
		name       string
		force      uint32
		last       uint32
		want, fail string
	}{
		{"a", 0, 0, "N1:1", ""},
		{"b", 0, 0, "N2:1", ""},
		{"a", 0, 0, "N1:2", ""},
		{"a", 0, 7, "N1:8", ""}, // the data folder remembers more than the store
		{"c", 9, 0, "N9:1", ""},
		{"c", 9, 1, "N9:2", ""},
		{"d", 0, 0, "N10:1", ""},
		{"c", 3, 0, "", "force-node-id"},
		{"e", 1, 0, "", "another node"},
	} {
		n, err := s.RegisterNode(t.Context(), &storedv1.Node{Name: c.name, Roles: []string{"worker"}}, c.force, c.last)
		if c.fail != "" {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v: got %v", c, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		if got := fmt.Sprintf("N%d:%d", n.Id, n.Generation); got != c.want {
			t.Errorf("%v: got %s", c, got)
		}
	}
	nodes := must[[]*storedv1.Node](t)(s.Nodes(t.Context()))
	if len(nodes) != 5-1 || nodes[0].Name != "a" || nodes[0].Generation != 8 {
		t.Errorf("nodes: %v", nodes)
	}
}

// A second process of a name is refused while the first one lives, unless it has that one's folder.
func TestTwoNodesWithOneName(t *testing.T) {
	s, _ := newStore(t)
	me := register(t, s, "a", "log-server")
	ctx, cancel := context.WithCancel(t.Context())
	held, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.AnnouncePresence(ctx, me, time.Second, func() { close(held) }) }()
	<-held
	spec := &storedv1.Node{Name: "a", Roles: []string{"log-server"}, Address: "http://n1:5122"}
	if _, err := s.RegisterNode(t.Context(), spec, 0, 0); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "a node a runs as N1:1") || !strings.Contains(err.Error(), "another node-name") {
		t.Errorf("a second one: %v", err)
	}
	if n, err := s.RegisterNode(t.Context(), spec, 1, 1); err != nil || n.Generation != 2 {
		t.Errorf("the next process with its folder: %v, %v", n, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n, err := s.RegisterNode(t.Context(), spec, 0, 0); err != nil || n.Generation != 3 {
		t.Errorf("an empty folder, when nobody is there: %v, %v", n, err)
	}
}

func TestStorageState(t *testing.T) {
	s, _ := newStore(t)
	const provisioning, rw, ro = storedv1.StorageState_STORAGE_STATE_PROVISIONING, storedv1.StorageState_STORAGE_STATE_READ_WRITE, storedv1.StorageState_STORAGE_STATE_READ_ONLY
	me := register(t, s, "a", "log-server", "worker")
	if err := s.SetStorageState(t.Context(), me, provisioning, rw); err != nil {
		t.Fatal(err)
	}
	if err := s.SetStorageState(t.Context(), me, provisioning, rw); err != nil {
		t.Errorf("a repeat: %v", err)
	}
	if err := s.SetStorageState(t.Context(), me, provisioning, ro); !errs.Is(err, errs.Conflict) {
		t.Errorf("from the wrong state: %v", err)
	}
	again := register(t, s, "a", "log-server", "worker")
	if err := s.SetStorageState(t.Context(), me, rw, ro); !errs.Is(err, errs.Fenced) {
		t.Errorf("an older process: %v", err)
	}
	n := must[[]*storedv1.Node](t)(s.Nodes(t.Context()))[0]
	if n.StorageState != rw || n.WorkerState != storedv1.WorkerState_WORKER_STATE_ACTIVE || n.Generation != again.Generation {
		t.Errorf("node after its restart: %v", n)
	}
}

// takeOver leads partition p with one more segment.
func takeOver(ctx context.Context, s *metastore.Store, p id.Partition, was metastore.Lineage, me id.GenerationalNode, nonce uint64) (metastore.Lineage, error) {
	index := uint32(0)
	if k := len(was.Chain.Segments); k > 0 {
		index = was.Chain.Segments[k-1].Index + 1
	}
	chain := &storedv1.Chain{Segments: append(append([]*storedv1.Segment(nil), was.Chain.Segments...), &storedv1.Segment{
		Index: index, Base: uint64(index)*10 + 1, Loglet: &storedv1.Loglet{Id: uint64(id.NewLoglet(p, index)), Nonce: nonce},
	})}
	next := &storedv1.Epoch{Epoch: was.Epoch.Epoch + 1, Node: uint32(me.Node), Generation: me.Generation, Replicas: was.Epoch.Replicas}
	return s.TakeOver(ctx, p, was, next, chain, me)
}

func TestTakeOver(t *testing.T) {
	s, _ := newStore(t)
	a, b := register(t, s, "a"), register(t, s, "b")
	was := must[metastore.Lineage](t)(s.Lineage(t.Context(), 7))
	if was.Epoch.Epoch != 0 || len(was.Chain.Segments) != 0 {
		t.Fatalf("a new partition: %v", was)
	}
	first := must[metastore.Lineage](t)(takeOver(t.Context(), s, 7, was, a, 1))
	if first.Epoch.Epoch != 1 || first.Epoch.Node != 1 || len(first.Chain.Segments) != 1 {
		t.Fatalf("after the first: %v", first)
	}
	if _, err := takeOver(t.Context(), s, 7, was, b, 2); !errs.Is(err, errs.Conflict) {
		t.Errorf("with an old lineage: %v", err)
	}
	second := must[metastore.Lineage](t)(takeOver(t.Context(), s, 7, first, b, 2))
	register(t, s, "a")
	if _, err := takeOver(t.Context(), s, 7, second, a, 3); !errs.Is(err, errs.Fenced) {
		t.Errorf("from an older process: %v", err)
	}
	now := must[metastore.Lineage](t)(s.Lineage(t.Context(), 7))
	if !proto.Equal(now.Epoch, second.Epoch) || !proto.Equal(now.Chain, second.Chain) {
		t.Errorf("the refused left a trace: %v", now)
	}
}

func TestTakeOverOutcomeUnknown(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(n int) metatest.Fault
		want  errs.Code // 0: success
		epoch uint64    // afterwards
	}{
		{"refused, then done", func(n int) metatest.Fault { return pick(n == 1, metatest.Refused) }, 0, 1},
		{"lost call, then done", func(n int) metatest.Fault { return pick(n == 1, metatest.LostCall) }, 0, 1},
		{"lost answer is read back", func(n int) metatest.Fault { return pick(n == 1, metatest.LostAfter) }, 0, 1},
		{"lost answers for ever", func(int) metatest.Fault { return metatest.LostAfter }, errs.Uncertain, 1},
		{"lost calls for ever", func(int) metatest.Fault { return metatest.LostCall }, errs.Uncertain, 0},
		{"refused for ever", func(int) metatest.Fault { return metatest.Refused }, errs.Unavailable, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := newStore(t)
			me := register(t, s, "a")
			was := must[metastore.Lineage](t)(s.Lineage(t.Context(), 0))
			base := 0
			f.Inject = func(op string, n int) metatest.Fault {
				if op != "txn" {
					return metatest.None
				}
				if base == 0 {
					base = n - 1
				}
				return c.fault(n - base)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			got, err := takeOver(ctx, s, 0, was, me, 1)
			if c.want != 0 && !errs.Is(err, c.want) || c.want == 0 && err != nil {
				t.Errorf("got %v", err)
			}
			if c.want == 0 && got.Epoch.Epoch != 1 {
				t.Errorf("got %v", got)
			}
			f.Inject = nil
			if now := must[metastore.Lineage](t)(s.Lineage(t.Context(), 0)); now.Epoch.Epoch != c.epoch {
				t.Errorf("epoch is %d, want %d", now.Epoch.Epoch, c.epoch)
			}
		})
	}
}

// Two tries of one process for one epoch differ in the loglet's nonce: the second must not take the
// first's late success for its own.
func TestTakeOverIsNotTakenForAnEarlierOne(t *testing.T) {
	s, _ := newStore(t)
	me := register(t, s, "a")
	was := must[metastore.Lineage](t)(s.Lineage(t.Context(), 0))
	if _, err := takeOver(t.Context(), s, 0, was, me, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := takeOver(t.Context(), s, 0, was, me, 2); !errs.Is(err, errs.Conflict) {
		t.Errorf("got %v", err)
	}
}

func pick(cond bool, f metatest.Fault) metatest.Fault {
	if cond {
		return f
	}
	return metatest.None
}

func TestChainPages(t *testing.T) {
	s, f := newStore(t)
	me := register(t, s, "a")
	l := must[metastore.Lineage](t)(s.Lineage(t.Context(), 3))
	const n = 200
	for i := range n {
		l = must[metastore.Lineage](t)(takeOver(t.Context(), s, 3, l, me, uint64(i)))
	}
	for i, seg := range l.Chain.Segments {
		if seg.Index != uint32(i) || seg.Loglet.Nonce != uint64(i) {
			t.Fatalf("segment %d is %v", i, seg)
		}
	}
	if len(l.Chain.Segments) != n {
		t.Errorf("%d segments", len(l.Chain.Segments))
	}
	got, _, err := f.Read(t.Context(), metastore.Range{Key: "/reprise/v1/test/chains/0003"})
	if err != nil || len(got[0][0].Value) > 48*64 {
		t.Errorf("the chain's key has %d bytes (%v)", len(got[0][0].Value), err)
	}
}

func TestEmbeddedKeepsWhatItHas(t *testing.T) {
	dir := t.TempDir()
	e := openEmbedded(t, dir)
	s := metastore.New(e.KV(), "test", hosttest.Real(1))
	c := must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 4}))
	me := register(t, s, "a", "worker")
	l := must[metastore.Lineage](t)(takeOver(t.Context(), s, 1, must[metastore.Lineage](t)(s.Lineage(t.Context(), 1)), me, 5))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openEmbedded(t, dir)
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	s = metastore.New(e.KV(), "test", hosttest.Real(2))
	if got := must[*storedv1.Cluster](t)(s.Cluster(t.Context())); !proto.Equal(got, c) {
		t.Errorf("cluster is %v", got)
	}
	if got := must[metastore.Lineage](t)(s.Lineage(t.Context(), 1)); !proto.Equal(got.Epoch, l.Epoch) || !proto.Equal(got.Chain, l.Chain) {
		t.Errorf("lineage is %v", got)
	}
	if again := register(t, s, "a", "worker"); again.Generation != me.Generation+1 {
		t.Errorf("generation is %d", again.Generation)
	}
}

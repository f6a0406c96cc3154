package metastore_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// The version of partitions follows the oldest worker, never goes back, and keeps older workers out.
func TestRaiseVersion(t *testing.T) {
	s, _ := newStore(t)
	if _, err := s.RaiseVersion(t.Context()); !errs.Is(err, errs.NotFound) {
		t.Fatalf("before: %v", err)
	}
	must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 2}))
	start := func(name, role string, version uint32) error {
		t.Helper()
		_, err := s.RegisterNode(t.Context(), &storedv1.Node{Name: name, Roles: []string{role}, PartitionVersion: version}, 0, 0)
		return err
	}
	for _, step := range []struct {
		name, role    string
		knows, raised uint32
		refused       bool
	}{
		{name: "ingress", role: metastore.RoleIngress, knows: 9, raised: 0}, // it applies nothing
		{name: "a", role: metastore.RoleWorker, knows: 0, raised: 0},
		{name: "b", role: metastore.RoleWorker, knows: 2, raised: 0},
		{name: "a", role: metastore.RoleWorker, knows: 3, raised: 2},
		{name: "b", role: metastore.RoleWorker, knows: 1, raised: 2, refused: true},
		{name: "c", role: metastore.RoleWorker, knows: 0, raised: 2, refused: true},
		{name: "logs", role: metastore.RoleLogServer, knows: 0, raised: 2},
		{name: "b", role: metastore.RoleWorker, knows: 3, raised: 3},
		{name: "a", role: metastore.RoleWorker, knows: 4, raised: 3},
	} {
		err := start(step.name, step.role, step.knows)
		if refused := errs.Is(err, errs.Unsupported) && strings.Contains(err.Error(), "run the release that the other workers run"); refused != step.refused || err != nil && !refused {
			t.Errorf("%s that knows %d: %v", step.name, step.knows, err)
		}
		if got := must[uint32](t)(s.RaiseVersion(t.Context())); got != step.raised {
			t.Errorf("%s that knows %d: raised to %d, want %d", step.name, step.knows, got, step.raised)
		}
	}
	if c := must[*storedv1.Cluster](t)(s.Cluster(t.Context())); c.PartitionVersion != 3 || c.Partitions != 2 {
		t.Errorf("cluster %v", c)
	}
}

// withUnknown adds a field that no release has yet.
func withUnknown(m proto.Message) []byte {
	b := protowire.AppendTag(nil, 5000, protowire.BytesType)
	b = protowire.AppendString(b, "of a newer release")
	m.ProtoReflect().SetUnknown(b)
	return b
}

// What a newer release adds to a document is not understood, and is there still after a change by this one.
func TestUnknownFieldsOfDocuments(t *testing.T) {
	s, _ := newStore(t)
	must[*storedv1.Cluster](t)(s.Provision(t.Context(), &storedv1.Cluster{Partitions: 2}))
	me := register(t, s, "n1", metastore.RoleWorker, metastore.RoleLogServer)
	lead(t, s, 0, me)
	want := map[string][]byte{}
	for _, name := range []string{"cluster", "nodes/1", "epochs/0", "chains/0"} {
		doc, version, err := s.Document(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "chains/0" { // of a segment: chains are written anew
			want[name] = withUnknown(doc.(*storedv1.Chain).Segments[0])
		} else {
			want[name] = withUnknown(doc)
		}
		if err := s.PutDocument(t.Context(), name, doc, version); err != nil {
			t.Fatal(err)
		}
	}
	must[*storedv1.Node](t)(s.ChangeNode(t.Context(), me.Node, func(f *metastore.Facts) (*storedv1.Node, error) {
		n := proto.CloneOf(f.Node(me.Node))
		n.WorkerState = storedv1.WorkerState_WORKER_STATE_DRAINING
		return n, nil
	}))
	if err := s.SetStorageState(t.Context(), me, storedv1.StorageState_STORAGE_STATE_PROVISIONING, storedv1.StorageState_STORAGE_STATE_READ_WRITE); err != nil {
		t.Fatal(err)
	}
	must[int](t)(s.Assign(t.Context(), 2, func(epochs []*storedv1.Epoch) []placement.Replicas {
		return []placement.Replicas{{Current: []id.Node{1}}, {Current: []id.Node{1}}}
	}))
	lead(t, s, 0, me)
	n := must[*storedv1.Node](t)(s.RegisterNode(t.Context(), &storedv1.Node{Name: "n2", Roles: []string{metastore.RoleWorker}, PartitionVersion: 7}, 0, 0))
	if n.Id != 2 {
		t.Fatal(n)
	}
	for name, field := range want {
		doc, _, err := s.Document(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := doc.(*storedv1.Chain); ok {
			doc = c.Segments[0]
		}
		if got := doc.ProtoReflect().GetUnknown(); string(got) != string(field) {
			t.Errorf("%s has lost what it does not know: %q", name, got)
		}
	}
}

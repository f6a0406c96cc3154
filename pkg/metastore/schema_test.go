package metastore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/schema"
)

func TestUpdateSchema(t *testing.T) {
	add := func(sch *storedv1.Schema) (*storedv1.Schema, error) {
		next := proto.CloneOf(sch)
		next.Deployments = append(next.Deployments, &storedv1.Deployment{Uri: fmt.Sprint(len(next.Deployments))})
		return next, nil
	}
	for _, fault := range []metatest.Fault{metatest.None, metatest.Refused, metatest.LostAfter, metatest.LostCall} {
		s, f := newStore(t)
		f.Inject = func(op string, n int) metatest.Fault { return pick(op == "txn" && n == 1, fault) }
		got := must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), add))
		if got.Version != 1 || len(got.Deployments) != 1 {
			t.Errorf("fault %d: %v", fault, got)
		}
		same := must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), func(sch *storedv1.Schema) (*storedv1.Schema, error) { return sch, nil }))
		if !proto.Equal(same, must[*storedv1.Schema](t)(s.Schema(t.Context()))) || same.Version != 1 {
			t.Errorf("no change: %v", same)
		}
		errMine := errs.Newf(errs.Unavailable, "mine")
		if _, err := s.UpdateSchema(t.Context(), func(*storedv1.Schema) (*storedv1.Schema, error) { return nil, errMine }); !errors.Is(err, errMine) || !errs.Is(err, errs.Unavailable) {
			t.Errorf("the caller's error became %v", err)
		}
	}
}

const (
	rootKey      = "/reprise/v1/test/schema"
	documentsKey = "/reprise/v1/test/documents/"
)

// sized makes a deployment with n services of about a kilobyte each.
func sized(name string, n int) *storedv1.Deployment {
	d := &storedv1.Deployment{Id: []byte(fmt.Sprintf("%-16s", name))[:16], Uri: "http://" + name + "/"}
	padding := strings.Repeat("x", 900)
	for i := range n {
		d.Services = append(d.Services, &storedv1.Service{
			Name: fmt.Sprintf("%s-%d", name, i), Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1, Documentation: &padding,
			Handlers: []*storedv1.Handler{{Name: "h"}},
		})
	}
	return d
}

func appending(list ...*storedv1.Deployment) func(*storedv1.Schema) (*storedv1.Schema, error) {
	return func(sch *storedv1.Schema) (*storedv1.Schema, error) {
		return &storedv1.Schema{Deployments: append(sch.GetDeployments()[:len(sch.GetDeployments()):len(sch.GetDeployments())], list...)}, nil
	}
}

// checkSchema tells whether the schema can be read, and whether no chunks are stored but those that it names.
func checkSchema(t *testing.T, s *metastore.Store, kv metastore.KV, orphans bool) *storedv1.Schema {
	t.Helper()
	sch := must[*storedv1.Schema](t)(s.Schema(t.Context()))
	got, _, err := kv.Read(t.Context(), metastore.Range{Key: rootKey}, metastore.Range{Key: documentsKey, Prefix: true})
	if err != nil {
		t.Fatal(err)
	}
	root, named := &storedv1.Schema{}, 0
	for _, it := range got[0] {
		if err := root.UnmarshalVT(it.Value); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range root.GetDocuments() {
		named += len(d.GetChunks())
	}
	if len(got[1]) < named || !orphans && len(got[1]) != named {
		t.Errorf("%d chunks are stored, %d are named", len(got[1]), named)
	}
	return sch
}

// 5,000 services, in one deployment and in many, below what etcd takes in a request (the fake minds), with a view
// that follows.
func TestThousandsOfServices(t *testing.T) {
	thousands(t, metatest.NewFake())
}

func TestThousandsOfServicesInEtcd(t *testing.T) {
	e, err := metastore.OpenEmbedded(t.Context(), metastore.EmbedConfig{
		Name: "n1", Dir: t.TempDir(), PeerURL: "http://127.0.0.1:2380", Token: "test", RequestBytesMax: 3 << 19,
	}, hosttest.Real(1))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, e)
	thousands(t, e.KV())
}

func thousands(t *testing.T, kv metastore.KV) {
	t.Helper()
	s := metastore.New(kv, "test", hosttest.Real(1))
	_, await := runView(t, s)
	whole := sized("whole", 5000)
	t.Logf("one deployment of %d bytes", whole.SizeVT())
	if n := whole.SizeVT(); n < 4<<20 {
		t.Fatalf("only %d bytes", n)
	}
	one := must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(whole)))
	const many = 20 // deployments, of 50 services
	for i := range many {
		one = must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized(fmt.Sprintf("d%d", i), 50))))
	}
	if got := checkSchema(t, s, kv, false); !proto.Equal(got, one) || got.Version != many+1 || len(got.Deployments) != many+1 {
		t.Fatalf("version %d, %d deployments", got.Version, len(got.Deployments))
	}
	snap := await("all services", func(s *metastore.Snapshot) bool { return s.Registry.Version() == many+1 })
	if n := len(snap.Registry.Services()); n != 5000+50*many {
		t.Errorf("the view has %d services", n)
	}

	changed := must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), func(sch *storedv1.Schema) (*storedv1.Schema, error) {
		next := proto.CloneOf(sch)
		next.Deployments[0].Services[4999].Revision = 7
		return next, nil
	}))
	snap = await("the change", func(s *metastore.Snapshot) bool { return s.Registry.Version() == many+2 })
	if got, _ := snap.Registry.Service("whole-4999"); got.Revision != 7 || changed.Version != many+2 {
		t.Errorf("revision %d", got.Revision)
	}
	checkSchema(t, s, kv, false)
	must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), func(*storedv1.Schema) (*storedv1.Schema, error) { return &storedv1.Schema{}, nil }))
	await("nothing", func(s *metastore.Snapshot) bool { return len(s.Registry.Services()) == 0 })
	checkSchema(t, s, kv, true) // a transaction does not hold all that goes
	must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized("last", 1))))
	checkSchema(t, s, kv, false)
}

// A writer dies at each of its writes, done or not: the schema is the old one or the new one, and what was left
// behind goes with the first change of the next process.
func TestWriterDiesAnywhere(t *testing.T) {
	for _, fault := range []metatest.Fault{metatest.LostCall, metatest.LostAfter} {
		last := false
		for n := 1; !last; n++ {
			s, f := newStore(t)
			must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized("old", 1200))))
			ctx, die := context.WithCancel(t.Context())
			txns := 0
			f.Inject = func(op string, _ int) metatest.Fault {
				if op != "txn" {
					return metatest.None
				}
				if txns++; txns == n {
					die()
					return fault
				}
				return metatest.None
			}
			replace := func(*storedv1.Schema) (*storedv1.Schema, error) {
				return &storedv1.Schema{Deployments: []*storedv1.Deployment{sized("new", 1200)}}, nil
			}
			_, err := s.UpdateSchema(ctx, replace)
			last = txns < n // it came to its end before
			die()
			f.Inject = nil
			if last != (err == nil) {
				t.Fatalf("died at write %d: %v", n, err)
			}
			got := checkSchema(t, s, f, true)
			if name := strings.TrimSpace(string(got.Deployments[0].GetId())); len(got.Deployments) != 1 || len(got.Deployments[0].Services) != 1200 || name != "old" && name != "new" {
				t.Errorf("died at write %d: %d deployments, the first is %s", n, len(got.Deployments), name)
			}
			s = metastore.New(f, "test", hosttest.Real(1))
			must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized("next", 1))))
			if got := checkSchema(t, s, f, false); len(got.Deployments) != 2 {
				t.Errorf("after death at write %d: %d deployments", n, len(got.Deployments))
			}
		}
	}
}

// hooked calls a function before the n-th transaction.
type hooked struct {
	metastore.KV

	n    int
	hook func()
}

func (h *hooked) Txn(ctx context.Context, conds []metastore.Cond, writes []metastore.Write) (bool, int64, error) {
	if h.n--; h.n == 0 {
		h.hook()
	}
	return h.KV.Txn(ctx, conds, writes)
}

// Another writer comes between a writer's chunks and its swap, and clears away what nobody names: that of the
// first, too, which writes it again. The same if they write the same chunk.
func TestWritersBetweenOneAnother(t *testing.T) {
	for _, name := range []string{"mine", "other"} {
		for n := 1; n <= 4; n++ { // three chunks, then the swap
			s, f := newStore(t)
			must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized("first", 1))))
			h := &hooked{KV: f, n: n, hook: func() {
				must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized(name, 1200))))
				must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), func(sch *storedv1.Schema) (*storedv1.Schema, error) {
					return &storedv1.Schema{Deployments: sch.GetDeployments()[:1]}, nil // and takes it back
				}))
			}}
			got := must[*storedv1.Schema](t)(metastore.New(h, "test", hosttest.Real(1)).UpdateSchema(t.Context(), appending(sized("mine", 1200))))
			if now := checkSchema(t, s, f, false); !proto.Equal(now, got) || len(now.Deployments) != 2 || now.Version != 4 {
				t.Errorf("%s before write %d: version %d, %d deployments", name, n, now.Version, len(now.Deployments))
			}
		}
	}
}

func TestManyWriters(t *testing.T) {
	t.Run("fake", func(t *testing.T) { manyWriters(t, metatest.NewFake()) })
	t.Run("etcd", func(t *testing.T) {
		e := openEmbedded(t, t.TempDir())
		closeAtEnd(t, e)
		manyWriters(t, e.KV())
	})
}

func manyWriters(t *testing.T, kv metastore.KV) {
	t.Helper()
	const writers = 16
	s := metastore.New(kv, "test", hosttest.Real(1))
	g := lifecycle.NewGroup(t.Context())
	for i := range writers {
		g.Go("writer", func(ctx context.Context) error {
			_, err := s.UpdateSchema(ctx, func(sch *storedv1.Schema) (*storedv1.Schema, error) {
				next, _, err := schema.Register(sch, sized(fmt.Sprintf("w%d", i), 20), schema.RegisterOptions{})
				return next, err
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := checkSchema(t, s, kv, false); got.Version != writers || len(got.Deployments) != writers {
		t.Errorf("version %d, %d deployments", got.Version, len(got.Deployments))
	}
}

// What earlier builds wrote is read, and written anew.
func TestSchemaInOneValue(t *testing.T) {
	s, f := newStore(t)
	old := &storedv1.Schema{Version: 5, Deployments: []*storedv1.Deployment{sized("a", 1), sized("b", 1)}}
	b := must[[]byte](t)(old.MarshalVT())
	if _, _, err := f.Txn(t.Context(), nil, []metastore.Write{{Key: rootKey, Value: b}}); err != nil {
		t.Fatal(err)
	}
	if got := must[*storedv1.Schema](t)(s.Schema(t.Context())); !proto.Equal(got, old) {
		t.Errorf("read %v", got)
	}
	must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized("c", 1))))
	if got := checkSchema(t, s, f, false); got.Version != 6 || len(got.Deployments) != 3 {
		t.Errorf("written: %v", got)
	}
}

// Damage is told, and does not pass for a smaller schema.
func TestDamagedDocuments(t *testing.T) {
	for _, damage := range []string{"gone", "changed"} {
		s, f := newStore(t)
		must[*storedv1.Schema](t)(s.UpdateSchema(t.Context(), appending(sized("a", 1))))
		got, _, err := f.Read(t.Context(), metastore.Range{Key: documentsKey, Prefix: true})
		if err != nil || len(got[0]) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		w := metastore.Write{Key: got[0][0].Key, Delete: damage == "gone", Value: bytes.ToUpper(got[0][0].Value)}
		if _, _, err := f.Txn(t.Context(), nil, []metastore.Write{w}); err != nil {
			t.Fatal(err)
		}
		s = metastore.New(f, "test", hosttest.Real(1)) // a process that has not read it yet
		if _, err := s.Schema(t.Context()); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v", damage, err)
		}
	}
}

// A change beyond what a transaction can watch over is refused, and nothing is stored.
func TestTooLargeASchema(t *testing.T) {
	s, f := newStore(t)
	huge := sized("huge", 1)
	var b strings.Builder
	padding := strings.Repeat("x", 256<<10)
	for b.Len() < 65<<20 { // no two chunks are the same
		fmt.Fprintf(&b, "%64d%s", b.Len(), padding)
	}
	text := b.String()
	huge.Services[0].Documentation = &text
	if _, err := s.UpdateSchema(t.Context(), appending(huge)); !errs.Is(err, errs.Invalid) {
		t.Errorf("stored: %v", err)
	}
	if got := checkSchema(t, s, f, false); got.Version != 0 {
		t.Errorf("version %d", got.Version)
	}
}

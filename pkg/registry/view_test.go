package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/registry"
	"reprise/pkg/schema"
)

// The joint with the real thing: a store of metadata and a view that watches it.
func TestOverMetastore(t *testing.T) {
	h := hosttest.Real(1)
	cfg := registry.Default()
	kv := metatest.NewFake()
	store := metastore.New(kv, "test", h)
	view := metastore.NewView(store, schema.Default(), h)
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("view", view.Run)
	defer func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	<-view.Ready()
	r, err := registry.New(cfg, store, registry.Watched(view), h)
	if err != nil {
		t.Fatal(err)
	}
	e := newEndpoint(t, oneService)
	got, err := r.Register(t.Context(), registry.Registration{URI: e.url})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Current().Deployment(got.ID); !ok {
		t.Error("not in view when answered")
	}
	if again, err := r.Register(t.Context(), registry.Registration{URI: e.url}); err != nil || again.Created || again.ID != got.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	if err := r.Remove(t.Context(), got.ID); err != nil || len(r.Current().Deployments()) != 0 {
		t.Errorf("removed: %v, %d left", err, len(r.Current().Deployments()))
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if err := registry.Watched(view).WaitFor(gone, r.Current().Version()+1); err == nil {
		t.Error("waited for a version that does not exist")
	}
}

// Many registrations at once, of different endpoints that serve one service and of one endpoint: each is whole,
// no revision is given twice, and none is lost. A process that watches sees only whole schemas.
func TestManyAtOnce(t *testing.T) {
	t.Run("fake", func(t *testing.T) { manyAtOnce(t, metatest.NewFake()) })
	t.Run("etcd", func(t *testing.T) {
		e, err := metastore.OpenEmbedded(t.Context(), metastore.EmbedConfig{Name: "n1", Dir: t.TempDir(), PeerURL: "http://127.0.0.1:2380", Token: "test"}, hosttest.Real(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		manyAtOnce(t, e.KV())
	})
}

func manyAtOnce(t *testing.T, kv metastore.KV) {
	t.Helper()
	h := hosttest.Real(1)
	cfg := registry.Default()
	cfg.VisibleTimeout = time.Minute
	store := metastore.New(kv, "test", h)
	view := metastore.NewView(store, schema.Default(), h)
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("view", view.Run)
	defer func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	<-view.Ready()
	r, err := registry.New(cfg, store, registry.Watched(view), h)
	if err != nil {
		t.Fatal(err)
	}
	const endpoints, same = 12, 6
	pair := strings.Replace(oneService, `"services":[`, `"services":[{"name":"T","ty":"SERVICE","handlers":[{"name":"y"}]},`, 1)
	ep := serve(t, answers(200, manifestType, pair)) // any path is an endpoint
	writers := lifecycle.NewGroup(t.Context())
	register := func(uri string, n int) {
		writers.Go("register", func(ctx context.Context) error {
			for range n {
				got, err := r.Register(ctx, registry.Registration{URI: uri})
				if err != nil {
					return err
				}
				if n := len(r.Current().DeploymentServices(got.ID)); n != 2 {
					return fmt.Errorf("%s: %d of 2 services when answered", uri, n)
				}
			}
			return nil
		})
	}
	for i := range endpoints {
		register(fmt.Sprintf("%s/%d", ep.URL, i), 1)
	}
	for range same {
		register(ep.URL+"/same", 2)
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[uint32]bool{"S": {}, "T": {}}
	for _, d := range r.Current().Deployments() {
		for _, s := range d.GetServices() {
			seen[s.GetName()][s.GetRevision()] = true
		}
	}
	for name, revisions := range seen {
		s, _ := r.Current().Service(name)
		if len(revisions) != endpoints+1 || s == nil || s.Revision != endpoints+1 {
			t.Errorf("%s: %d revisions, active is %+v", name, len(revisions), s)
		}
	}
	if n := len(r.Current().Deployments()); n != endpoints+1 {
		t.Errorf("%d deployments", n)
	}
}

package registry_test

import (
	"context"
	"testing"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/registry"
)

// The joint with the real thing: a store of metadata and a view that watches it.
func TestOverMetastore(t *testing.T) {
	h := hosttest.Real(1)
	cfg := registry.Default()
	kv := metatest.NewFake()
	store := metastore.New(kv, "test", h)
	view := metastore.NewView(store, cfg.Defaults, h)
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

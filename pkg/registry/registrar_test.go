package registry_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/registry"
)

var _ registry.Store = (*metastore.Store)(nil)

// endpoint is an endpoint whose manifest changes.
type endpoint struct {
	url      string
	manifest string
	asked    int
}

func newEndpoint(t *testing.T, manifest string) *endpoint {
	t.Helper()
	e := &endpoint{manifest: manifest}
	e.url = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked++
		answers(200, manifestType, e.manifest)(w, r)
	})).URL
	return e
}

func (b *bench) must(t *testing.T, q registry.Registration) registry.Registered {
	t.Helper()
	got, err := b.Register(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRegister(t *testing.T) {
	b, e := newBench(t), newEndpoint(t, oneService)
	first := b.must(t, registry.Registration{URI: e.url, Metadata: []*storedv1.Header{{Name: "a", Value: "b"}}})
	if !first.Created {
		t.Error("a new deployment was known")
	}
	if s, ok := b.Current().Service("S"); !ok || s.Revision != 1 || s.Deployment != first.ID {
		t.Errorf("service %+v", s)
	}
	d, _ := b.Current().Deployment(first.ID)
	if d.GetCreatedAtMs() != b.waits.Now().UnixMilli() || d.GetMetadata()[0].GetName() != "a" {
		t.Errorf("deployment %v", d)
	}

	again := b.must(t, registry.Registration{URI: e.url + "/"})
	if again.Created || again.ID != first.ID || e.asked != 1 {
		t.Errorf("again: %+v, asked %d times", again, e.asked)
	}

	_, err := b.Register(t.Context(), registry.Registration{URI: e.url, New: true})
	wantError(t, err, http.StatusConflict, "")

	forced := b.must(t, registry.Registration{URI: e.url, Force: true})
	if s, _ := forced.Registry.Service("S"); forced.Created || forced.ID != first.ID || s.Revision != 2 || e.asked != 2 {
		t.Errorf("forced: %+v, asked %d times", forced, e.asked)
	}
}

func TestDryRun(t *testing.T) {
	b, e := newBench(t), newEndpoint(t, oneService)
	got := b.must(t, registry.Registration{URI: e.url, DryRun: true})
	if s, ok := got.Registry.Service("S"); !ok || !got.Created || s.Revision != 1 {
		t.Errorf("dry run: %+v", got)
	}
	if n := len(b.Current().Deployments()); n != 0 {
		t.Errorf("%d deployments are stored", n)
	}
}

func TestTypeChange(t *testing.T) {
	b, e := newBench(t), newEndpoint(t, oneService)
	b.must(t, registry.Registration{URI: e.url})
	object := newEndpoint(t, strings.Replace(oneService, "SERVICE", "VIRTUAL_OBJECT", 1))
	for _, dry := range []bool{true, false} {
		_, err := b.Register(t.Context(), registry.Registration{URI: object.url, DryRun: dry})
		wantError(t, err, http.StatusConflict, "META0006")
	}
	got := b.must(t, registry.Registration{URI: object.url, Breaking: true})
	if s, _ := got.Registry.Service("S"); s.Revision != 2 || s.Deployment != got.ID {
		t.Errorf("service %+v", s)
	}
}

// A router before two endpoints of one URI looks at a header.
func TestRoutingHeaders(t *testing.T) {
	b, e := newBench(t, func(c *registry.Config) { c.RoutingHeaders = []string{"x-route"} }), newEndpoint(t, oneService)
	register := func(route string) registry.Registered {
		return b.must(t, registry.Registration{URI: e.url, Headers: []*storedv1.Header{{Name: "x-route", Value: route}}})
	}
	blue, green := register("blue"), register("green")
	if again := register("blue"); !blue.Created || !green.Created || again.Created || again.ID != blue.ID || blue.ID == green.ID {
		t.Errorf("blue %+v, green %+v, blue again %+v", blue, green, again)
	}
}

// Two registrations of one address at a time make one deployment.
func TestRace(t *testing.T) {
	for _, mode := range []string{"known", "conflict", "forced"} {
		t.Run(mode, func(t *testing.T) {
			b, e := newBench(t), newEndpoint(t, oneService)
			var winner registry.Registered
			b.store.Before(func() { winner = b.must(t, registry.Registration{URI: e.url}) })
			got, err := b.Register(t.Context(), registry.Registration{URI: e.url, New: mode == "conflict", Force: mode == "forced"})
			if n := len(b.Current().Deployments()); n != 1 || !winner.Created {
				t.Fatalf("%d deployments, winner %+v", n, winner)
			}
			if mode == "conflict" {
				wantError(t, err, http.StatusConflict, "")
				return
			}
			if err != nil || got.Created || got.ID != winner.ID {
				t.Errorf("loser: %+v, %v", got, err)
			}
		})
	}
}

// A change is answered only once this process shows it.
func TestWaitsForView(t *testing.T) {
	b, e := newBench(t), newEndpoint(t, oneService)
	d := b.must(t, registry.Registration{URI: e.url}).ID
	b.store.Lag()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Remove(ctx, d); !errs.Is(err, errs.Uncertain) {
		t.Fatalf("removed while the view lags: %v", err)
	}
	if len(b.Current().Deployments()) != 1 {
		t.Fatal("the view does not lag")
	}
	g := lifecycle.NewGroup(t.Context())
	g.Go("register", func(ctx context.Context) error {
		got, err := b.Register(ctx, registry.Registration{URI: e.url})
		if _, ok := b.Current().Deployment(got.ID); !ok {
			return errors.Join(err, errors.New("answered before the view had it"))
		}
		return err
	})
	b.store.CatchUp()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestRemove(t *testing.T) {
	b, e := newBench(t), newEndpoint(t, oneService)
	d := b.must(t, registry.Registration{URI: e.url}).ID
	if err := b.Remove(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Current().Service("S"); ok {
		t.Error("the service is still there")
	}
	wantError(t, b.Remove(t.Context(), d), http.StatusNotFound, "")
}

func TestStoreFails(t *testing.T) {
	b, e := newBench(t), newEndpoint(t, oneService)
	b.store.Fail(errs.Newf(errs.Unavailable, "no quorum"))
	_, err := b.Register(t.Context(), registry.Registration{URI: e.url})
	if !errs.Is(err, errs.Unavailable) || e.asked != 0 {
		t.Errorf("register: %v, asked %d times", err, e.asked)
	}
	if err := b.Remove(t.Context(), id.Deployment{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("remove: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	two := strings.Replace(oneService, `{"name":"x"}`, `{"name":"x"},{"name":"y"}`, 1)
	added := strings.Replace(two, `"services":[`, `"services":[{"name":"New","ty":"SERVICE","handlers":[]},`, 1)
	b, old := newBench(t), newEndpoint(t, oneService)
	d := b.must(t, registry.Registration{URI: old.url, Headers: []*storedv1.Header{{Name: "a", Value: "b"}}}).ID
	next := newEndpoint(t, added)

	same, err := b.Update(t.Context(), d, registry.Update{})
	if got, _ := same.Deployment(d); err != nil || got.GetUri() != old.url+"/" || old.asked != 1 {
		t.Fatalf("empty update: %v, %v, asked %d times", got, err, old.asked)
	}
	if _, err = b.Update(t.Context(), d, registry.Update{URI: &next.url, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.Current().Deployment(d); got.GetUri() != old.url+"/" {
		t.Fatalf("dry run stored %v", got)
	}

	moved, err := b.Update(t.Context(), d, registry.Update{URI: &next.url})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := moved.Deployment(d)
	if got.GetUri() != next.url+"/" || len(got.GetServices()) != 1 || len(got.GetServices()[0].GetHandlers()) != 1 || got.GetAdditionalHeaders()[0].GetName() != "a" {
		t.Errorf("moved: %v", got)
	}

	whole, err := b.Update(t.Context(), d, registry.Update{Headers: []*storedv1.Header{{Name: "c", Value: "d"}}, Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := whole.Service("S")
	n, _ := whole.Service("New")
	if got, _ = whole.Deployment(d); s.Revision != 1 || len(s.Stored.GetHandlers()) != 2 || n.Revision != 1 || got.GetAdditionalHeaders()[0].GetName() != "c" {
		t.Errorf("overwritten: %v", got)
	}

	other := newEndpoint(t, strings.Replace(oneService, ":7", ":6", 1))
	_, err = b.Update(t.Context(), d, registry.Update{URI: &other.url})
	wantError(t, err, http.StatusBadRequest, "META0016")
	_, err = b.Update(t.Context(), id.Deployment{1}, registry.Update{URI: &next.url})
	wantError(t, err, http.StatusNotFound, "")
	bad := "/foo"
	_, err = b.Update(t.Context(), d, registry.Update{URI: &bad})
	wantError(t, err, http.StatusBadRequest, "")
}

func TestModify(t *testing.T) {
	b, one, two := newBench(t), newEndpoint(t, oneService), newEndpoint(t, oneService)
	first := b.must(t, registry.Registration{URI: one.url}).ID
	b.must(t, registry.Registration{URI: two.url})
	change := registry.Change{Public: proto.Bool(false), IdempotencyRetentionMs: proto.Int64(1000), AbortTimeoutMs: proto.Int64(2000)}
	got, err := b.Modify(t.Context(), "S", change)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := got.Service("S")
	if s.Public || s.IdempotencyRetention.Milliseconds() != 1000 || s.Abort.Milliseconds() != 2000 || s.Revision != 2 {
		t.Errorf("modified: %+v", s)
	}
	if old := got.DeploymentServices(first)[0]; !old.Public {
		t.Error("an older revision changed, too")
	}
	three := newEndpoint(t, oneService)
	fresh := b.must(t, registry.Registration{URI: three.url})
	if s, _ := b.Current().Service("S"); s.Revision != 3 || !s.Public || s.Abort.Milliseconds() == 2000 {
		t.Errorf("a new revision took settings of the one before: %+v", s)
	}
	if _, err := b.Modify(t.Context(), "S", change); err != nil {
		t.Fatal(err)
	}
	b.must(t, registry.Registration{URI: three.url, Force: true})
	if s, _ := b.Current().Service("S"); s.Revision != 4 || !s.Public || s.Deployment != fresh.ID {
		t.Errorf("overwriting kept settings: %+v", s)
	}
	_, err = b.Modify(t.Context(), "Nope", change)
	wantError(t, err, http.StatusNotFound, "")
	_, err = b.Modify(t.Context(), "S", registry.Change{WorkflowRetentionMs: proto.Int64(1)})
	wantError(t, err, http.StatusBadRequest, "")
	if same, err := b.Modify(t.Context(), "Nope", registry.Change{}); err != nil || same != b.Current() {
		t.Errorf("no change: %v", err)
	}
}

func TestConfig(t *testing.T) {
	if err := registry.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	err := registry.Config{}.Validate()
	for _, part := range []string{"connect timeout", "discovery timeout", "visible timeout"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

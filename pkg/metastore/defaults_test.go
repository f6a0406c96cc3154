package metastore_test

import (
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/metastore"
	"reprise/pkg/schema"
)

// What services get that do not say otherwise may change while a process runs: those that are registered, and those that come.
func TestDefaultsOfServicesAreLive(t *testing.T) {
	s, _ := newStore(t)
	v, await := runView(t, s)
	register := func(n byte, name string) {
		t.Helper()
		if _, err := s.UpdateSchema(t.Context(), func(now *storedv1.Schema) (*storedv1.Schema, error) {
			next := &storedv1.Schema{Deployments: append([]*storedv1.Deployment(nil), now.GetDeployments()...)}
			next.Deployments = append(next.Deployments, &storedv1.Deployment{Id: append(make([]byte, 15), n), Services: []*storedv1.Service{{Name: name, Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1}}})
			return next, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	abortOf := func(s *metastore.Snapshot, name string) time.Duration {
		svc, ok := s.Registry.Service(name)
		if !ok {
			return 0
		}
		return svc.Abort
	}
	register(1, "first")
	await("the default", func(s *metastore.Snapshot) bool { return abortOf(s, "first") == schema.Default().Abort })
	changed := v.Changed()
	d := schema.Default()
	d.Abort = 7 * time.Second
	v.SetDefaults(d)
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
	if got := abortOf(v.Current(), "first"); got != 7*time.Second || v.Current().Registry.Version() != 1 {
		t.Errorf("abort timeout of %s", got)
	}
	register(2, "second")
	await("both", func(s *metastore.Snapshot) bool {
		return abortOf(s, "first") == 7*time.Second && abortOf(s, "second") == 7*time.Second
	})
}

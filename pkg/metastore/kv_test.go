package metastore_test

import (
	"testing"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
)

func openEmbedded(t *testing.T, dir string) *metastore.Embedded {
	t.Helper()
	e, err := metastore.OpenEmbedded(t.Context(), metastore.EmbedConfig{
		Name: "n1", Dir: dir, PeerURL: "http://127.0.0.1:2380", Token: "test",
	}, hosttest.Real(1))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestFakeKV(t *testing.T) {
	metatest.TestKV(t, func(*testing.T) metastore.KV { return metatest.NewFake() })
}

func TestEmbeddedKV(t *testing.T) {
	metatest.TestKV(t, func(t *testing.T) metastore.KV {
		e := openEmbedded(t, t.TempDir())
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		return e.KV()
	})
}

package metastore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, cfg metastore.EmbedConfig) *metastore.Embedded {
	t.Helper()
	cfg.Name, cfg.PeerURL, cfg.Token = "n1", "http://127.0.0.1:2380", "test"
	e, err := metastore.OpenEmbedded(t.Context(), cfg, hosttest.Real(1))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func openEmbedded(t *testing.T, dir string) *metastore.Embedded {
	t.Helper()
	return open(t, metastore.EmbedConfig{Dir: dir})
}

func closeAtEnd(t *testing.T, c interface{ Close() error }) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFakeKV(t *testing.T) {
	metatest.TestKV(t, func(*testing.T) metastore.KV { return metatest.NewFake() })
}

func TestEmbeddedKV(t *testing.T) {
	metatest.TestKV(t, func(t *testing.T) metastore.KV {
		e := openEmbedded(t, t.TempDir())
		closeAtEnd(t, e)
		if len(e.ClientAddrs()) != 0 {
			t.Error("a lone member must not listen")
		}
		return e.KV()
	})
}

func TestClientKV(t *testing.T) {
	metatest.TestKV(t, func(t *testing.T) metastore.KV {
		e := open(t, metastore.EmbedConfig{Dir: t.TempDir(), ListenPeer: "127.0.0.1:0", ListenClient: "127.0.0.1:0", ClientURL: "http://127.0.0.1:2379"})
		closeAtEnd(t, e)
		c, err := metastore.Dial(metastore.ClientConfig{Endpoints: e.ClientAddrs(), KeepAlive: 5 * time.Second, KeepAliveTimeout: 5 * time.Second}, hosttest.Real(1))
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, c)
		return c
	})
}

// A client whose etcd is gone says so within the caller's time.
func TestClientWithoutServer(t *testing.T) {
	c, err := metastore.Dial(metastore.ClientConfig{Endpoints: []string{"127.0.0.1:1"}}, hosttest.Real(1))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := metastore.New(c, "test", hosttest.Real(1)).Lineage(ctx, 0); err == nil {
		t.Error("read without a server")
	}
}

func TestEmbeddedEndsWithItsContext(t *testing.T) {
	e := openEmbedded(t, t.TempDir())
	closeAtEnd(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Error(err)
	}
	stop := errors.New("enough")
	sctx, end := context.WithCancelCause(t.Context())
	end(stop)
	if _, err := metastore.OpenEmbedded(sctx, metastore.EmbedConfig{Name: "n2", Dir: t.TempDir(), PeerURL: "http://127.0.0.1:2", Token: "t",
		InitialCluster: []string{"n2=http://127.0.0.1:2", "n3=http://127.0.0.1:3"}}, hosttest.Real(1)); !errors.Is(err, stop) {
		t.Errorf("a member without a quorum: %v", err)
	}
}

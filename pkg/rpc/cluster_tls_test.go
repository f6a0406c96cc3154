package rpc_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"reprise/pkg/certs"
	"reprise/pkg/certs/certstest"
	"reprise/pkg/config"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
)

// memberConfig is the configuration of a metadata daemon with certificates.
func memberConfig(t *testing.T, mode string, f certstest.Files) *config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.NodeName, cfg.BindAddress = "n1", "127.0.0.1:5122"
	cfg.MetadataServer.ClientPort, cfg.MetadataServer.PeerPort = 0, 0
	cfg.Networking.TLS = config.Mutual{Mode: mode, Cert: f.Cert, Key: f.Key, CA: f.CA}
	return &cfg
}

// startMember runs the etcd member of a metadata daemon until the test ends, or stop is called.
func startMember(t *testing.T, cfg *config.Config, m *certs.Mutual, dir string) (at string, e *metastore.Embedded, stop func()) {
	t.Helper()
	h := hosttest.Real(1)
	e, err := metastore.OpenEmbedded(t.Context(), rpc.MetadataMember(cfg, m, dir, "127.0.0.1", false), h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("member", e.Run)
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return e.ClientAddrs()[0], e, stop
}

// reads asks once, for as long as it takes; who never gets through tries for limit.
func reads(ctx context.Context, kv metastore.KV, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, _, err := kv.Read(ctx, metastore.Range{Key: "x"})
	return err
}

// An etcd that asks for certificates is reached with metadata-client.tls, as one that is not ours would be, and not otherwise.
func TestExternalEtcdWithTLS(t *testing.T) {
	ours, strange := certstest.New(t, "ours"), certstest.New(t, "strange")
	files := ours.Files(t, t.TempDir(), loopback)
	at, _, _ := startMember(t, memberConfig(t, "strict", files), openMutual(t, files, true), t.TempDir())
	client := ours.Files(t, t.TempDir(), certstest.Leaf{Name: "client"})
	for _, row := range []struct {
		name   string
		scheme string
		tls    *certs.Config // nil: none
		passes bool
	}{
		{"with a certificate", "https://", &certs.Config{Cert: client.Cert, Key: client.Key, CA: client.CA}, true},
		{"without a scheme", "", &certs.Config{Cert: client.Cert, Key: client.Key, CA: client.CA}, true},
		{"without a certificate", "https://", &certs.Config{CA: client.CA}, false},
		{"another authority", "https://", &certs.Config{Cert: client.Cert, Key: client.Key, CA: strange.Files(t, t.TempDir(), loopback).CA}, false},
		{"plain", "http://", nil, false},
	} {
		cfg := config.Default()
		cfg.MetadataClient.Type, cfg.MetadataClient.Addresses = "etcd", []string{row.scheme + at}
		var external *certs.Certs
		if row.tls != nil {
			var err error
			if external, err = certs.OpenClient(*row.tls, "metadata-client.tls", hosttest.Real(1)); err != nil {
				t.Fatal(err)
			}
		}
		kv, _, err := rpc.DialMetadata(t.Context(), &cfg, nil, external, hosttest.Real(1))
		if err != nil {
			t.Fatal(err)
		}
		limit := time.Minute
		if !row.passes {
			limit = time.Second
		}
		if err := reads(t.Context(), kv, limit); (err == nil) != row.passes {
			t.Errorf("%s: %v", row.name, err)
		}
		if err := kv.Close(); err != nil {
			t.Error(err)
		}
	}
}

// After each start with another mode a member has told etcd with which schemes it is found.
func TestPeerURLsFollowTheMode(t *testing.T) {
	ours := certstest.New(t, "ours")
	files, dir := ours.Files(t, t.TempDir(), loopback), t.TempDir()
	for _, step := range []struct {
		mode string
		m    *certs.Mutual
		want []string
	}{
		{"off", nil, []string{"http://127.0.0.1:0"}},
		{"optional", openMutual(t, files, false), []string{"http://127.0.0.1:0", "https://127.0.0.1:0"}},
		{"strict", openMutual(t, files, true), []string{"https://127.0.0.1:0"}},
		{"optional", openMutual(t, files, false), []string{"http://127.0.0.1:0", "https://127.0.0.1:0"}},
		{"off", nil, []string{"http://127.0.0.1:0"}},
	} {
		_, e, stop := startMember(t, memberConfig(t, step.mode, files), step.m, dir)
		var got []string
		for !slices.Equal(got, step.want) {
			all, err := metastore.New(e.KV(), "test", hosttest.Real(1)).Members(t.Context())
			if err != nil || t.Context().Err() != nil {
				t.Fatal(err)
			}
			got = slices.Sorted(slices.Values(all[0].PeerURLs))
		}
		stop()
	}
}

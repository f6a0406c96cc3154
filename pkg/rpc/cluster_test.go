package rpc_test

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/controller"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
)

// daemon is a process of a cluster, as far as metadata goes: what services/*/wire does.
type daemon struct {
	t      *testing.T
	cfg    config.Config
	fabric string
	view   *metastore.View
	member membership.Member
}

func daemonConfig(t *testing.T, name string, addresses ...string) config.Config {
	t.Helper()
	off := "false"
	if len(addresses) == 0 {
		off = "true"
	}
	flags := map[string]string{"bind-address": "127.0.0.1:0", "base-dir": t.TempDir(), "node-name": name, "auto-provision": off, "default-num-partitions": "6"}
	if len(addresses) > 0 {
		flags["metadata-client.addresses"] = addresses[0]
	} else {
		_, port, err := net.SplitHostPort(freePort(t))
		if err != nil {
			t.Fatal(err)
		}
		flags["metadata-server.client-port"] = port
		_, port, err = net.SplitHostPort(freePort(t))
		if err != nil {
			t.Fatal(err)
		}
		flags["metadata-server.peer-port"] = port
	}
	cfg, _, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// freePort returns a loopback address that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// startDaemon runs a daemon until the test ends.
func startDaemon(ctx context.Context, t *testing.T, g *lifecycle.Group, cfg config.Config, roles ...string) *daemon {
	t.Helper()
	h := hosttest.Real(1)
	d := &daemon{t: t, cfg: cfg}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	folder, err := membership.OpenFolder(h.FS, cfg.DataDir(), cfg.ClusterName, cfg.NodeName)
	check(err)
	ln, err := rpc.Listen(ctx, cfg.Fabric())
	check(err)
	d.fabric = cfg.Fabric().URL(ln.Addr())
	status := rpc.NewNodeStatus(&cfg, roles, "test", h)
	node := &storedv1.Node{Name: cfg.NodeName, Address: d.fabric, Roles: roles, Version: "test"}

	var kv metastore.KV
	var parts []lifecycle.Part
	if roles[0] == metastore.RoleMetadata {
		ec := rpc.MetadataMember(&cfg, nil, filepath.Join(cfg.DataDir(), "metadata"), cfg.Fabric().Host(ln.Addr()), false)
		e, err := metastore.OpenEmbedded(ctx, ec, h)
		check(err)
		t.Cleanup(func() { check(e.Close()) })
		node.EtcdClientUrls = []string{ec.ClientURL}
		status.SetMetadata(func() []string { return node.EtcdClientUrls })
		kv, parts = e.KV(), append(parts, e)
	} else {
		c, urls, err := rpc.DialMetadata(ctx, &cfg, nil, nil, h)
		check(err)
		t.Cleanup(func() { check(c.Close()) })
		status.SetMetadata(func() []string { return urls })
		kv = c
	}
	store := metastore.New(kv, cfg.ClusterName, h)
	d.member, err = membership.Join(ctx, membership.Config{Node: node, ForceID: cfg.ForceNodeID, Provision: cfg.ClusterSpec(), InitTimeout: cfg.InitTimeout.D()}, store, folder, h)
	check(err)
	status.SetMember(d.member.Cluster, d.member.ID)
	d.view = metastore.NewView(store, cfg.SchemaDefaults(), h)
	parts = append(parts, d.view, membership.NewPresence(d.member.ID, store, d.view, h))
	if roles[0] == metastore.RoleMetadata {
		cc := controller.Default()
		cc.Settle = 0
		parts = append(parts, controller.New(cc, d.member.ID.Node, d.view, controller.NewRoster(nil, h), store, h))
	}
	parts = append(parts, rpc.NewFabric(rpc.FabricConfig{KeepAlive: time.Second, KeepAliveTimeout: time.Second, Drain: 100 * time.Millisecond}, ln, status, h))
	g.Go(cfg.NodeName, func(context.Context) error { return lifecycle.Run(ctx, parts...) })
	t.Cleanup(func() { check(folder.Close()) })
	return d
}

// One fabric address is enough for every daemon, be it that of another one than the metadata daemon.
func TestDaemonsFindEachOther(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	meta := startDaemon(ctx, t, g, daemonConfig(t, "meta"), metastore.RoleMetadata)
	w1 := startDaemon(ctx, t, g, daemonConfig(t, "w1", meta.fabric), metastore.RoleWorker)
	w2 := startDaemon(ctx, t, g, daemonConfig(t, "w2", w1.fabric), metastore.RoleWorker)
	t.Cleanup(func() { // before the stores are closed
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	tctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	for _, d := range []*daemon{meta, w1, w2} {
		s, err := d.view.Await(tctx, func(s *metastore.Snapshot) bool {
			held := 0
			for _, e := range s.Epochs {
				held += len(e.Replicas)
			}
			return held == 6 && len(s.Nodes) == 3 && len(s.Present) == 3
		})
		if err != nil {
			t.Fatalf("%s sees %+v", d.cfg.NodeName, d.view.Current())
		}
		if n := s.Node(w2.member.ID.Node); n.Address != w2.fabric || s.Partitions != 6 {
			t.Errorf("%s sees node %v", d.cfg.NodeName, n)
		}
	}
	if w2.member.ID != (id.GenerationalNode{Node: 3, Generation: 1}) {
		t.Errorf("w2 is %s", w2.member.ID)
	}
}

func TestMetadataMemberTiming(t *testing.T) {
	cfg := config.Default()
	cfg.NodeName = "n"
	e := rpc.MetadataMember(&cfg, nil, "/d", "me", true)
	if e.Tick != 20*time.Millisecond || e.Election != 200*time.Millisecond || e.ListenPeer != "" || e.PeerURL != "http://me:"+strconv.Itoa(2380) {
		t.Errorf("got %+v", e)
	}
}

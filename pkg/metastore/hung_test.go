package metastore_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/schema"
)

// gate forwards connections to an address, and holds all bytes back while it is shut, as a process does that hangs.
type gate struct {
	ln net.Listener
	to string

	mu   sync.Mutex
	open chan struct{} // closed while bytes pass
}

// newGate returns an open gate that lives as long as the test.
func newGate(t *testing.T, to string) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &gate{ln: ln, to: to, open: make(chan struct{})}
	close(x.open)
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("accept", func(ctx context.Context) error {
		for {
			a, err := ln.Accept()
			if err != nil {
				return nil
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				return err
			}
			_ = context.AfterFunc(ctx, func() { _, _ = a.Close(), b.Close() })
			g.Go("there", func(ctx context.Context) error { return x.pass(ctx, a, b) })
			g.Go("back", func(ctx context.Context) error { return x.pass(ctx, b, a) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = ln.Close()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func (x *gate) pass(ctx context.Context, from, to net.Conn) error {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		x.mu.Lock()
		open := x.open
		x.mu.Unlock()
		select {
		case <-open:
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return nil
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return nil
		}
	}
}

func (x *gate) shut(shut bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if shut {
		x.open = make(chan struct{})
	} else {
		close(x.open)
	}
}

// A member that hangs, whichever it is, keeps nobody from what changes: neither who watches nor who holds a key or writes.
func TestHungMember(t *testing.T) {
	ports := freePorts(t, 2)
	member, err := metastore.OpenEmbedded(t.Context(), metastore.EmbedConfig{
		Name: "n1", Dir: t.TempDir(), PeerURL: "http://" + ports[0], ListenPeer: ports[0], ListenClient: ports[1], ClientURL: "http://" + ports[1], Token: "test",
	}, hosttest.Real(1))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, member)
	direct := metastore.New(member.KV(), "test", hosttest.Real(1))
	if _, err := direct.Provision(t.Context(), &storedv1.Cluster{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	gates := []*gate{newGate(t, ports[1]), newGate(t, ports[1])}
	kv, err := metastore.Dial(metastore.ClientConfig{
		Endpoints: []string{"http://" + gates[0].ln.Addr().String(), "http://" + gates[1].ln.Addr().String()},
		KeepAlive: time.Hour, KeepAliveTimeout: time.Hour,
	}, hosttest.Real(2))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, kv)
	through := metastore.New(kv, "test", hosttest.Real(2))
	view := metastore.NewView(through, schema.Default(), hosttest.Real(2))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	g := lifecycle.NewGroup(ctx)
	g.Go("view", view.Run)
	defer func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	<-view.Ready()
	for i, x := range gates {
		x.shut(true)
		me := register(t, direct, string(rune('a'+i)))
		if _, err := view.Await(ctx, func(s *metastore.Snapshot) bool { return s.Node(me.Node) != nil }); err != nil {
			t.Fatalf("member %d hangs: the view does not show %s: %v", i, me, err)
		}
		for range 3 {
			was := must[metastore.Lineage](t)(through.Lineage(ctx, 0))
			if _, err := takeOver(ctx, through, 0, was, me, was.Epoch.Epoch+1); err != nil {
				t.Fatalf("member %d hangs: %v", i, err)
			}
		}
		x.shut(false)
	}
}

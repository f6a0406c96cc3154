package metastore_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
)

// A machine gets another address: a lone member does not mind.
func TestEmbeddedWithANewAddress(t *testing.T) {
	dir := t.TempDir()
	for i, url := range []string{"http://127.0.0.1:2380", "http://10.0.0.1:2380"} {
		e, err := metastore.OpenEmbedded(t.Context(), metastore.EmbedConfig{Name: "n1", Dir: dir, PeerURL: url, Token: "test"}, hosttest.Real(1))
		if err != nil {
			t.Fatal(err)
		}
		s := metastore.New(e.KV(), "test", hosttest.Real(1))
		if me := register(t, s, "a"); me.Generation != uint32(i+1) {
			t.Errorf("generation %d", me.Generation)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// freePorts returns loopback addresses that were free a moment ago: etcd wants to know its peers' before.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addrs[i] = ln.Addr().String()
	}
	return addrs
}

// Three metadata daemons; the one that leads stops, and a take-over passes all the same.
func TestThreeMembers(t *testing.T) {
	const n = 3
	ports := freePorts(t, 2*n)
	var initial, clients []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("n%d=http://%s", i, ports[i]))
		clients = append(clients, "http://"+ports[n+i])
	}
	members := make([]*metastore.Embedded, n)
	g := lifecycle.NewGroup(t.Context())
	for i := range members {
		dir := t.TempDir()
		g.Go("member", func(ctx context.Context) (err error) {
			members[i], err = metastore.OpenEmbedded(ctx, metastore.EmbedConfig{
				Name: fmt.Sprintf("n%d", i), Dir: dir, PeerURL: "http://" + ports[i], ListenPeer: ports[i],
				ListenClient: ports[n+i], ClientURL: clients[i], InitialCluster: initial, Token: "test",
			}, hosttest.Real(uint64(i)))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	leader := slices.IndexFunc(members, (*metastore.Embedded).Leads)
	if leader < 0 {
		t.Fatal("nobody leads, and yet all are ready")
	}
	for i, m := range members {
		if i != leader {
			closeAtEnd(t, m)
		}
	}
	kv, err := metastore.Dial(metastore.ClientConfig{Endpoints: clients, KeepAlive: 5 * time.Second, KeepAliveTimeout: 5 * time.Second}, hosttest.Real(9))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, kv)
	s := metastore.New(kv, "test", hosttest.Real(9))
	if _, err := s.Provision(t.Context(), &storedv1.Cluster{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	me := register(t, s, "a")
	was := must[metastore.Lineage](t)(s.Lineage(t.Context(), 0))
	if err := members[leader].Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	now, err := takeOver(ctx, s, 0, was, me, 1)
	if err != nil || now.Epoch.Epoch != 1 {
		t.Errorf("take-over without the leader: %v %v", now.Epoch, err)
	}
}

package metastore_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/status"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
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

// threeMembers are three metadata daemons, and where clients find them.
func threeMembers(t *testing.T) (members []*metastore.Embedded, clients []string) {
	t.Helper()
	const n = 3
	ports := freePorts(t, 2*n)
	var initial []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("n%d=http://%s", i, ports[i]))
		clients = append(clients, "http://"+ports[n+i])
	}
	members = make([]*metastore.Embedded, n)
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
	if !slices.ContainsFunc(members, (*metastore.Embedded).Leads) {
		t.Fatal("nobody leads, and yet all are ready")
	}
	for _, m := range members {
		closeAtEnd(t, m)
	}
	return members, clients
}

// The one of three metadata daemons that leads stops, and a take-over passes all the same.
func TestThreeMembers(t *testing.T) {
	members, clients := threeMembers(t)
	leader := slices.IndexFunc(members, (*metastore.Embedded).Leads)
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

// A member that stops has another one lead, and shows out who watches, instead of waiting: the watch goes on at another member and
// misses nothing. What is asked meanwhile is answered.
func TestCloseShowsWatchersOut(t *testing.T) {
	members, clients := threeMembers(t)
	leader := slices.IndexFunc(members, (*metastore.Embedded).Leads)
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{clients[leader]}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, raw)
	stream, err := etcdserverpb.NewWatchClient(raw.ActiveConnection()).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
		CreateRequest: &etcdserverpb.WatchCreateRequest{Key: []byte("k")},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	// The same one, and all others.
	kv := must[*metastore.Etcd](t)(metastore.Dial(metastore.ClientConfig{Endpoints: append([]string{clients[leader]}, clients...)}, hosttest.Real(9)))
	closeAtEnd(t, kv)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string, 2) // as many keys as are written
	g := lifecycle.NewGroup(ctx)
	g.Go("watch", func(ctx context.Context) error {
		last := ""
		for from := int64(1); ctx.Err() == nil; {
			err := kv.Watch(ctx, "watched/", from, func(events []metastore.Event) error {
				for _, e := range events {
					if e.Key != last { // else a write whose outcome was not known is repeated
						seen <- e.Key
					}
					last, from = e.Key, e.Modified+1
				}
				return nil
			})
			if err != nil && !errs.Is(err, errs.Unavailable) {
				return err
			}
		}
		return nil
	})
	write := func(key string) {
		t.Helper()
		for { // a leader that just came may not know it yet
			ok, _, err := kv.Txn(t.Context(), nil, []metastore.Write{{Key: key, Value: []byte("v")}})
			if ok {
				return
			}
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
	}
	write("watched/1")
	if got := <-seen; got != "watched/1" {
		t.Errorf("saw %s", got)
	}
	if err := members[leader].Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Convert(err).Message() != "this process stops" {
		t.Errorf("the watch ended with %v", err)
	}
	write("watched/2")
	if got := <-seen; got != "watched/2" {
		t.Errorf("saw %s", got)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

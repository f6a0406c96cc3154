package rpc_test

import (
	"context"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/loglet"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/placement"
	"reprise/pkg/rpc"
	"reprise/pkg/schema"
)

// attendants are workers that do what call does.
type attendants struct {
	alive []placement.Attendant
	call  func(placement.Call) bool
}

func (a *attendants) Alive() []placement.Attendant { return a.alive }
func (a *attendants) Call(c placement.Call) bool   { return a.call(c) }
func member(n uint32) id.GenerationalNode {
	return id.GenerationalNode{Node: id.Node(n), Generation: 1}
}
func follows(n uint32) placement.Attendant { return at(n, placement.Follows) }
func at(n uint32, r placement.Role) placement.Attendant {
	return placement.Attendant{ID: member(n), Statuses: []placement.Status{{Role: r, Applied: 7}}}
}

// operated is a metadata daemon of two workers, with partition 0 led by node 1, and one log-server, node 1.
type operated struct {
	t      *testing.T
	store  *metastore.Store
	view   *metastore.View
	logs   *logservertest.Cluster
	client clusterv1.OperatorServiceClient
	conn   *grpc.ClientConn
}

func operate(t *testing.T, a *attendants) *operated {
	t.Helper()
	h := hosttest.Real(1)
	o := &operated{t: t, store: metastore.New(metatest.NewFake(), "c", h), logs: logservertest.New(t, 1)}
	if _, err := o.store.Provision(t.Context(), &storedv1.Cluster{Partitions: 1, Replication: "{node: 1}"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"n1", "n2"} {
		if _, err := o.store.RegisterNode(t.Context(), &storedv1.Node{Name: name, Roles: []string{metastore.RoleWorker, metastore.RoleLogServer}}, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	o.lead(1)
	o.view = metastore.NewView(o.store, schema.Default(), h)
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(rpc.FabricServerOptions()...)
	rpc.NewOperatorServer(rpc.Operated{
		Meta: o.store, View: o.view, Attendants: a, Logs: loglet.NewClient(loglet.Default(), o.logs.Peer(member(2)), h), Host: h,
	}).Register(srv)
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("view", o.view.Run)
	g.Go("grpc", func(context.Context) error { return srv.Serve(lis) })
	conn, err := grpc.NewClient("passthrough:///"+lis.Addr().String(), append(rpc.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		srv.Stop()
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	<-o.view.Ready()
	o.conn = conn
	o.client = clusterv1.NewOperatorServiceClient(conn)
	return o
}

// lead makes a node the next leader of partition 0, which both hold.
func (o *operated) lead(n uint32) {
	o.t.Helper()
	was, err := o.store.Lineage(o.t.Context(), 0)
	if err != nil {
		o.t.Fatal(err)
	}
	next, chain := proto.CloneOf(was.Epoch), proto.CloneOf(was.Chain)
	next.Epoch, next.Node, next.Generation, next.Replicas = was.Epoch.Epoch+1, n, 1, []uint32{1, 2}
	index := uint32(len(chain.Segments))
	chain.Segments = append(chain.Segments, &storedv1.Segment{Index: index, Base: 1 + 10*uint64(index), Loglet: o.logs.Loglet(0, index, member(n), "{node: 1}")})
	if _, err := o.store.TakeOver(o.t.Context(), 0, was, next, chain, member(n)); err != nil {
		o.t.Fatal(err)
	}
}

func TestOperatorLooks(t *testing.T) {
	o := operate(t, &attendants{alive: []placement.Attendant{at(1, placement.Leads), follows(2)}})
	v, err := o.client.Overview(t.Context(), &clusterv1.OverviewRequest{})
	if err != nil || v.Cluster.GetName() != "c" || len(v.Nodes) != 2 || v.NodesVersion == 0 || len(v.Epochs) != 1 || len(v.Attendants) != 2 {
		t.Fatalf("%v %v", v, err)
	}
	if s := v.Attendants[1].Statuses[0]; s.Role != clusterv1.PartitionRole_PARTITION_ROLE_FOLLOWS || s.Applied != 7 {
		t.Errorf("node 2 is %v", s)
	}
	logs, err := o.client.Logs(t.Context(), &clusterv1.LogsRequest{})
	if err != nil || len(logs.Logs) != 1 || len(logs.Logs[0].Chain.Segments) != 1 || logs.Logs[0].Version == 0 {
		t.Fatalf("%v %v", logs, err)
	}
	if tail, err := o.client.FindTail(t.Context(), &clusterv1.FindTailRequest{}); err != nil || tail.Sealed || tail.Tail != 1 || tail.Segment != 0 {
		t.Errorf("tail %v %v", tail, err)
	}
	if _, err := o.client.FindTail(t.Context(), &clusterv1.FindTailRequest{Log: 9}); !errs.Is(err, errs.NotFound) {
		t.Errorf("log 9: %v", err)
	}
	wrong := uint32(4)
	if _, err := o.client.SealLog(t.Context(), &clusterv1.SealLogRequest{Segment: &wrong}); !errs.Is(err, errs.Conflict) {
		t.Errorf("sealed another segment: %v", err)
	}
	if sealed, err := o.client.SealLog(t.Context(), &clusterv1.SealLogRequest{}); err != nil || sealed.Tail != 1 {
		t.Errorf("sealed %v %v", sealed, err)
	}
	if tail, err := o.client.FindTail(t.Context(), &clusterv1.FindTailRequest{}); err != nil || !tail.Sealed {
		t.Errorf("sealed tail %v %v", tail, err)
	}
	d, err := o.client.DescribeLoglet(t.Context(), &clusterv1.DescribeLogletRequest{})
	if err != nil || len(d.Members) != 1 || !d.Members[0].Sealed || d.Members[0].Error != "" || d.End != 0 {
		t.Errorf("described %v %v", d, err)
	}
	o.lead(2)
	if d, err := o.client.DescribeLoglet(t.Context(), &clusterv1.DescribeLogletRequest{}); err != nil || d.End != 11 {
		t.Errorf("described %v %v, want its end at 11", d, err)
	}
	for _, l := range []uint64{2, 1 << 32, 1 << 60} {
		if _, err := o.client.DescribeLoglet(t.Context(), &clusterv1.DescribeLogletRequest{Loglet: l}); !errs.Is(err, errs.NotFound) {
			t.Errorf("loglet %d: %v", l, err)
		}
	}
	if _, err := o.client.DigestLoglet(t.Context(), &clusterv1.DigestLogletRequest{From: 1, To: 1 << 40}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a large digest: %v", err)
	}
	if _, err := o.client.MetadataMembers(t.Context(), &clusterv1.MetadataMembersRequest{}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("members without etcd: %v", err)
	}
}

func TestOperatorChanges(t *testing.T) {
	a := &attendants{alive: []placement.Attendant{follows(2)}}
	o := operate(t, a)
	r, err := o.client.ChangeNode(t.Context(), &clusterv1.ChangeNodeRequest{Node: 2, WorkerState: storedv1.WorkerState_WORKER_STATE_DRAINING})
	if err != nil || r.Node.WorkerState != storedv1.WorkerState_WORKER_STATE_DRAINING {
		t.Fatalf("%v %v", r, err)
	}
	_, err = o.client.RemoveNode(t.Context(), &clusterv1.RemoveNodeRequest{Node: 2})
	if !errs.Is(err, errs.Conflict) || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "it runs") || !strings.Contains(err.Error(), "holds partitions 0") {
		t.Errorf("removed: %v", err)
	}
	if _, err := o.client.RemoveNode(t.Context(), &clusterv1.RemoveNodeRequest{Node: 7}); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody: %v", err)
	}
	doc, err := o.client.GetDocument(t.Context(), &clusterv1.GetDocumentRequest{Key: "nodes/2"})
	if err != nil || !strings.Contains(doc.Json, "WORKER_STATE_DRAINING") {
		t.Fatalf("%v %v", doc, err)
	}
	put := func(key, text string, version int64) error {
		_, err := o.client.PutDocument(t.Context(), &clusterv1.PutDocumentRequest{Key: key, Json: text, Version: version})
		return err
	}
	if err := put("nodes/2", `{"id":2,"nonsense":1}`, doc.Version); !errs.Is(err, errs.Invalid) {
		t.Errorf("an unknown field: %v", err)
	}
	if err := put("nodes/2", doc.Json, doc.Version); err != nil {
		t.Error(err)
	}
	if err := put("nodes/2", doc.Json, doc.Version); !errs.Is(err, errs.Conflict) {
		t.Errorf("an old version: %v", err)
	}
	if err := put("nowhere", `{}`, 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("an unknown key: %v", err)
	}
}

func TestOperatorLeads(t *testing.T) {
	a := &attendants{alive: []placement.Attendant{at(1, placement.Leads), follows(2)}}
	o := operate(t, a)
	a.call = func(c placement.Call) bool {
		if c.Node != 2 || c.Over != 1 {
			t.Errorf("called %+v", c)
		}
		o.lead(2)
		return true
	}
	r, err := o.client.Lead(t.Context(), &clusterv1.LeadRequest{})
	if err != nil || r.Was.Node != 1 || r.Now.Node != 2 || r.Now.Epoch != 2 {
		t.Fatalf("%v %v", r, err)
	}
	if r, err := o.client.Lead(t.Context(), &clusterv1.LeadRequest{Node: 2}); err != nil || r.Now.Epoch != 2 {
		t.Errorf("it leads already: %v %v", r, err)
	}
	a.call = func(placement.Call) bool { return false }
	if _, err := o.client.Lead(t.Context(), &clusterv1.LeadRequest{Node: 1}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("it is not connected: %v", err)
	}
	a.call = func(placement.Call) bool { return true }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := o.client.Lead(ctx, &clusterv1.LeadRequest{Node: 1}); !errs.Is(err, errs.Uncertain) {
		t.Errorf("nobody begins: %v", err)
	}
	if _, err := o.client.Lead(t.Context(), &clusterv1.LeadRequest{Partition: 9}); !errs.Is(err, errs.NotFound) {
		t.Errorf("partition 9: %v", err)
	}
}

// What workers are told of each other is what the metadata daemon knows.
func TestStanding(t *testing.T) {
	want := []placement.Attendant{
		{ID: member(1), Statuses: []placement.Status{{Role: placement.Leads, Epoch: 3, Applied: 9, Durable: 5}, {Role: placement.Follows, Applied: 4, Durable: 4}}},
		{ID: member(2), Leaving: true, Statuses: []placement.Status{{Role: placement.Parked}}},
	}
	o := operate(t, &attendants{alive: want})
	nodes := []*storedv1.Node{{Id: 1, Roles: []string{metastore.RoleWorker}}, {Id: 4, Roles: []string{metastore.RoleMetadata}}, {Id: 5, Roles: []string{metastore.RoleMetadata}}}
	c := rpc.NewStandingClient(func() []*storedv1.Node { return nodes }, onlyTo{5, o.conn})
	got, err := c.Standing(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	nodes = nodes[:2]
	if _, err := c.Standing(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("nobody answers: %v", err)
	}
}

// onlyTo reaches one node.
type onlyTo struct {
	node id.Node
	conn *grpc.ClientConn
}

func (o onlyTo) Conn(n id.Node) (*grpc.ClientConn, error) {
	if n != o.node {
		return nil, errs.Newf(errs.Unavailable, "no way to %s", n)
	}
	return o.conn, nil
}

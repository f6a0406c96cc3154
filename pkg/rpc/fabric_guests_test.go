package rpc_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	clusterv1 "reprise/api/cluster/v1"
	logv1 "reprise/api/log/v1"
	"reprise/pkg/config"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/rpc"
)

// A daemon that stops does not wait for those who attend, store or wait for a tail, which do not end by themselves. It would
// wait for an hour here.
func TestStopShowsGuestsOut(t *testing.T) {
	h := hosttest.Real(1)
	cfg := config.Default()
	cfg.BindAddress = "127.0.0.1:0"
	ln, err := rpc.Listen(t.Context(), cfg.Fabric())
	if err != nil {
		t.Fatal(err)
	}
	f := rpc.NewFabric(rpc.FabricConfig{KeepAlive: time.Second, KeepAliveTimeout: time.Second, Drain: time.Hour}, ln, rpc.NewNodeStatus(&cfg, nil, "1.0", h), h)
	roster := controller.NewRoster(rpc.Prober(nil), hosttest.New(hosttest.NewClock(), 1)) // it does not run: nobody is probed
	rpc.NewControlServer(attendCluster, roster).Register(f.GRPC())
	rpc.NewLogService(logservertest.New(t, 1).At(1), attendCluster).Register(f.GRPC())
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("fabric", f.Run)
	conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), append(rpc.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	attending, err := clusterv1.NewControlServiceClient(conn).Attend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changed := roster.Changed()
	if err := attending.Send(&clusterv1.AttendRequest{Fingerprint: attendCluster, Node: 2, Generation: 1}); err != nil {
		t.Fatal(err)
	}
	<-changed
	storing, err := logv1.NewLogServerClient(conn).Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := storing.Send(&logv1.StoreRequest{Header: &logv1.Header{Cluster: attendCluster, Node: 2, Generation: 1}}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := attending.Recv(); !errs.Is(rpc.FromStatus(err), errs.Uncertain) {
		t.Errorf("the attendance ended with %v", err)
	}
	if _, err := storing.Recv(); err == nil {
		t.Error("the store goes on")
	}
	if alive := roster.Alive(); len(alive) != 1 || alive[0].ID != member(2) {
		t.Errorf("a connection that ended is no death: %+v", alive)
	}
}

package rpc_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/membership"
	"reprise/pkg/placement"
	"reprise/pkg/rpc"
)

const (
	attendCluster = 0xbeef
	attendMillis  = 1_767_225_600_000 // what the clocks of hosttest show
)

// metadataDaemon is node 1 with its roster, on loopback.
type metadataDaemon struct {
	t      *testing.T
	server *grpc.Server
	roster *controller.Roster
	nodes  []*storedv1.Node
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func fabricURL(ln net.Listener) string { return "http://" + ln.Addr().String() }

// startMetadata starts a daemon whose cluster has the given other nodes.
func startMetadata(t *testing.T, others ...*storedv1.Node) *metadataDaemon {
	t.Helper()
	ln := listen(t)
	d := &metadataDaemon{t: t, server: grpc.NewServer(rpc.ServerOptions()...)}
	d.nodes = append([]*storedv1.Node{{Id: 1, Address: fabricURL(ln)}}, others...)
	nodes := func() []*storedv1.Node { return d.nodes }
	d.roster = controller.NewRoster(rpc.Prober(nodes), hosttest.New(hosttest.NewClock(), 1)) // nobody is silent
	rpc.NewControlServer(attendCluster, d.roster).Register(d.server)
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("serve", func(context.Context) error { return d.server.Serve(ln) })
	g.Go("roster", d.roster.Run)
	t.Cleanup(func() {
		d.server.Stop()
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// attend connects a process until the function that it returns is called.
func (d *metadataDaemon) attend(fingerprint uint64, me id.GenerationalNode) (m membership.Meeting, disconnect func()) {
	d.t.Helper()
	peers := rpc.NewLogPeers(func() []*storedv1.Node { return d.nodes })
	disconnect = func() {
		if err := peers.Close(); err != nil {
			d.t.Error(err)
		}
	}
	d.t.Cleanup(disconnect)
	m, err := rpc.NewControlClient(fingerprint, me, peers).Attend(d.t.Context(), 1)
	if err != nil {
		d.t.Fatal(err)
	}
	return m, disconnect
}

// await blocks until the roster shows what is asked for.
func (d *metadataDaemon) await(what string, ok func([]placement.Attendant) bool) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	for {
		changed := d.roster.Changed()
		alive := d.roster.Alive()
		if ok(alive) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			d.t.Fatalf("never saw %s, but %+v", what, alive)
		}
	}
}

func tell(t *testing.T, m membership.Meeting, leaving bool, statuses ...placement.Status) {
	t.Helper()
	if err := m.Tell(leaving, attendMillis, statuses); err != nil {
		t.Fatal(err)
	}
}

func TestAttend(t *testing.T) {
	d := startMetadata(t)
	me := id.GenerationalNode{Node: 3, Generation: 2}
	m, _ := d.attend(attendCluster, me)
	statuses := []placement.Status{{Role: placement.Leads, Epoch: 7, Applied: 90, Durable: 80, Works: true, Archived: 70}, {}, {Role: placement.Follows, Applied: 5}, {Role: placement.Parked, Broken: "ahead-of-log"}}
	tell(t, m, true, statuses...)
	d.await("the first beat", func(all []placement.Attendant) bool {
		return len(all) == 1 && all[0].ID == me && all[0].Leaving && slices.Equal(all[0].Statuses, statuses)
	})
	tell(t, m, false)
	d.await("the second beat", func(all []placement.Attendant) bool {
		return len(all) == 1 && !all[0].Leaving && len(all[0].Statuses) == 0
	})
	for over := range 3 {
		if !d.roster.Call(placement.Call{Partition: 65535, Node: 3, Over: 1<<40 + 1}) {
			t.Fatalf("call %d: nobody there", over)
		}
		p, e, err := m.Await()
		if err != nil || p != 65535 || e != 1<<40+1 {
			t.Fatalf("called for %d over %d: %v", p, e, err)
		}
	}
}

func TestAttendAtAnotherCluster(t *testing.T) {
	d := startMetadata(t)
	for name, client := range map[string]struct {
		fingerprint uint64
		node        id.Node
	}{"foreign": {0xf00, 3}, "nobody": {attendCluster, 0}} {
		t.Run(name, func(t *testing.T) {
			m, _ := d.attend(client.fingerprint, id.GenerationalNode{Node: client.node, Generation: 1})
			tell(t, m, false)
			if _, _, err := m.Await(); !errs.Is(err, errs.Invalid) {
				t.Errorf("refused with %v", err)
			}
			if all := d.roster.Alive(); len(all) != 0 {
				t.Errorf("%+v live", all)
			}
		})
	}
}

func TestAttendAtAKilledDaemon(t *testing.T) {
	d := startMetadata(t)
	m, _ := d.attend(attendCluster, id.GenerationalNode{Node: 3, Generation: 1})
	tell(t, m, false)
	d.await("the beat", func(all []placement.Attendant) bool { return len(all) == 1 })
	d.server.Stop()
	if p, over, err := m.Await(); err == nil {
		t.Errorf("called for %d over %d by nobody", p, over)
	}
	for m.Tell(false, 0, nil) == nil { // gRPC may take what it cannot send any more, but not for long
		continue
	}
	peers := rpc.NewLogPeers(func() []*storedv1.Node { return d.nodes })
	defer func() {
		if err := peers.Close(); err != nil {
			t.Error(err)
		}
	}()
	client := rpc.NewControlClient(attendCluster, id.GenerationalNode{Node: 3, Generation: 1}, peers)
	if _, err := client.Attend(t.Context(), 1); !errs.Is(err, errs.Unavailable) {
		t.Errorf("connected to nobody: %v", err)
	}
}

// A process is killed: its connection ends and its port is closed. The clock stands: it is not for silence.
func TestAKilledProcessIsDeadAtOnce(t *testing.T) {
	ln := listen(t)
	d := startMetadata(t, &storedv1.Node{Id: 3, Address: fabricURL(ln)})
	m, disconnect := d.attend(attendCluster, id.GenerationalNode{Node: 3, Generation: 1})
	tell(t, m, false)
	d.await("the beat", func(all []placement.Attendant) bool { return len(all) == 1 })
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	disconnect()
	d.await("the death", func(all []placement.Attendant) bool { return len(all) == 0 })
}

func TestProber(t *testing.T) {
	open, closed := listen(t), listen(t)
	for _, ln := range []net.Listener{open, closed} {
		defer func() { _ = ln.Close() }()
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	probe := rpc.Prober(func() []*storedv1.Node {
		return []*storedv1.Node{{Id: 1, Address: fabricURL(open)}, {Id: 2, Address: fabricURL(closed)}, {Id: 3, Address: "no address"}}
	})
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name string
		ctx  context.Context
		node id.Node
		want bool
	}{
		{"it listens", t.Context(), 1, true},
		{"nobody listens", t.Context(), 2, false},
		{"an address that cannot be read proves nothing", t.Context(), 3, true},
		{"a node that was removed", t.Context(), 4, true},
		{"a probe that was cut off", cut, 2, true},
	} {
		if got := probe(row.ctx, row.node); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

package controller_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/placement"
	"reprise/pkg/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type cluster struct {
	t     *testing.T
	alive attending
	kv    *metatest.Fake
	store *metastore.Store
	view  *metastore.View
	clock *hosttest.Clock
	host  host.Host
	group *lifecycle.Group
}

func newCluster(t *testing.T, partitions uint32) *cluster {
	t.Helper()
	clock := hosttest.NewClock()
	c := &cluster{t: t, kv: metatest.NewFake(), clock: clock, host: hosttest.New(clock, 1)}
	c.store = metastore.New(c.kv, "c", c.host)
	if _, err := c.store.Provision(t.Context(), &storedv1.Cluster{Partitions: partitions, Replication: "{node: 1}"}); err != nil {
		t.Fatal(err)
	}
	c.view = metastore.NewView(c.store, schema.Default(), c.host)
	ctx, cancel := context.WithCancel(context.Background())
	c.group = lifecycle.NewGroup(ctx)
	c.group.Go("view", c.view.Run)
	t.Cleanup(func() {
		cancel()
		if err := c.group.Wait(); err != nil {
			t.Error(err)
		}
	})
	<-c.view.Ready()
	return c
}

// attending are the processes that a controller hears of.
type attending struct {
	mu  sync.Mutex
	all []placement.Attendant
}

func (a *attending) Alive() []placement.Attendant {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

func (a *attending) set(all ...placement.Attendant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = all
}

// join registers a node and holds its presence until the test ends.
func (c *cluster) join(name string, roles ...string) id.Node {
	c.t.Helper()
	n, err := c.store.RegisterNode(c.t.Context(), &storedv1.Node{Name: name, Roles: roles}, 0, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	me := id.GenerationalNode{Node: id.Node(n.Id), Generation: n.Generation}
	held := make(chan struct{})
	c.group.Go("presence", func(ctx context.Context) error {
		err := c.store.AnnouncePresence(ctx, me, time.Second, func() { close(held) })
		if ctx.Err() == nil || errs.Is(err, errs.Unavailable) {
			return nil // the test let it expire, perhaps a moment before its end
		}
		return err
	})
	<-held
	c.await("presence of "+name, func(s *metastore.Snapshot) bool {
		for _, p := range s.Present {
			if p.ID == me {
				return true
			}
		}
		return false
	})
	return me.Node
}

func (c *cluster) await(what string, ok func(*metastore.Snapshot) bool) *metastore.Snapshot {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	s, err := c.view.Await(ctx, ok)
	if err != nil {
		c.t.Fatalf("never saw %s", what)
	}
	return s
}

// controls runs a controller until stop.
func (c *cluster) controls(cfg controller.Config, self id.Node) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("controller", controller.New(cfg, self, c.view, &c.alive, c.store, c.host).Run)
	return func() {
		cancel()
		if err := g.Wait(); err != nil {
			c.t.Error(err)
		}
	}
}

// ticks moves the clock whenever all wait for it, until stop.
func (c *cluster) ticks() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("clock", func(ctx context.Context) error {
		for ctx.Err() == nil {
			c.clock.Advance(100 * time.Millisecond)
			runtime.Gosched()
		}
		return nil
	})
	return func() {
		cancel()
		_ = g.Wait() // it never fails
	}
}

func (c *cluster) control(cfg controller.Config, self id.Node) {
	c.group.Go("controller", controller.New(cfg, self, c.view, &c.alive, c.store, c.host).Run)
}

// shares counts the partitions of each worker, if all are assigned.
func shares(s *metastore.Snapshot) map[id.Node]int {
	n := map[id.Node]int{}
	for _, e := range s.Epochs {
		if len(e.Replicas) != 1 {
			return nil
		}
		n[id.Node(e.Replicas[0])]++
	}
	return n
}

func TestOneWorkerGetsAllAtOnce(t *testing.T) {
	c := newCluster(t, 24)
	self := c.join("a", metastore.RoleMetadata, metastore.RoleWorker)
	c.control(controller.Config{Grace: time.Minute}, self)
	c.await("all partitions", func(s *metastore.Snapshot) bool { return shares(s)[self] == 24 })
}

func TestWorkersThatStartTogetherShare(t *testing.T) {
	c := newCluster(t, 24)
	meta := c.join("m", metastore.RoleMetadata)
	a := c.join("a", metastore.RoleWorker)
	b := c.join("b", metastore.RoleWorker)
	c.control(controller.Config{Settle: time.Second, Grace: time.Minute}, meta)
	c.clock.Await(1)
	if shares(c.view.Current()) != nil {
		t.Error("placed before the workers settled")
	}
	c.clock.Advance(time.Second)
	c.await("even shares", func(s *metastore.Snapshot) bool { return shares(s)[a] == 12 && shares(s)[b] == 12 })
}

func TestALostWorkerKeepsItsPartitionsForTheGrace(t *testing.T) {
	c := newCluster(t, 24)
	meta := c.join("m", metastore.RoleMetadata)
	a := c.join("a", metastore.RoleWorker)
	b := c.join("b", metastore.RoleWorker)
	c.control(controller.Config{Grace: time.Minute}, meta)
	c.await("shares", func(s *metastore.Snapshot) bool { return shares(s)[a] == 12 })
	c.kv.Expire("/reprise/v1/c/presence/00000002")
	c.await("absence", func(s *metastore.Snapshot) bool { return len(s.Present) == 2 })
	c.clock.Await(1) // for the end of the grace
	c.clock.Advance(59 * time.Second)
	if shares(c.view.Current())[a] != 12 {
		t.Error("moved within the grace")
	}
	c.clock.Advance(2 * time.Second)
	c.await("the move", func(s *metastore.Snapshot) bool { return shares(s)[b] == 24 })
}

func TestTheLowestMetadataDaemonPlaces(t *testing.T) {
	c := newCluster(t, 4)
	first := c.join("m1", metastore.RoleMetadata)
	second := c.join("m2", metastore.RoleMetadata)
	c.alive.set(placement.Attendant{ID: gen(first, 1)})
	c.control(controller.Config{Settle: time.Minute}, second)
	w := c.join("a", metastore.RoleWorker)
	c.clock.Await(1) // it waits until the workers have settled
	c.clock.Advance(time.Minute)
	c.join("m3", metastore.RoleMetadata) // a change, at which it looks
	if shares(c.view.Current()) != nil {
		t.Error("the second placed while the first is there")
	}
	c.alive.set()
	c.join("m4", metastore.RoleMetadata)
	c.await("the second acts", func(s *metastore.Snapshot) bool { return shares(s)[w] == 4 })
}

func TestAFailedWriteIsTriedAgain(t *testing.T) {
	c := newCluster(t, 4)
	self := c.join("a", metastore.RoleMetadata)
	conflict := &store{Store: c.store, fail: 1, failed: make(chan struct{})}
	c.group.Go("controller", controller.New(controller.Config{}, self, c.view, &c.alive, conflict, c.host).Run)
	w := c.join("w", metastore.RoleWorker)
	<-conflict.failed
	c.clock.Await(1)
	c.clock.Advance(time.Second)
	c.await("the second try", func(s *metastore.Snapshot) bool { return shares(s)[w] == 4 })
}

// store fails some calls.
type store struct {
	*metastore.Store
	fail   int
	failed chan struct{}
}

func (s *store) Assign(ctx context.Context, partitions uint32, plan func([]*storedv1.Epoch) []placement.Replicas) (int, error) {
	if s.fail > 0 {
		s.fail--
		close(s.failed)
		return 0, context.DeadlineExceeded
	}
	return s.Store.Assign(ctx, partitions, plan)
}

// stand has workers tell how one partition stands there: who leads it and who follows, all of which have applied and flushed so
// much.
func stand(e *storedv1.Epoch, applied map[id.Node]lsn.LSN) (all []placement.Attendant) {
	for n, at := range applied {
		st := placement.Status{Role: placement.Follows, Applied: at, Durable: at}
		if n == metastore.LeaderOf(e).Node {
			st.Role, st.Epoch = placement.Leads, lsn.Epoch(e.Epoch)
		}
		all = append(all, placement.Attendant{ID: gen(n, 1), Statuses: []placement.Status{st}})
	}
	slices.SortFunc(all, func(a, b placement.Attendant) int { return int(a.ID.Node) - int(b.ID.Node) })
	return all
}

// lead has a worker take partition 0 over.
func (c *cluster) lead(n id.Node) *storedv1.Epoch {
	c.t.Helper()
	was, err := c.store.Lineage(c.t.Context(), 0)
	if err != nil {
		c.t.Fatal(err)
	}
	next, chain := proto.CloneOf(was.Epoch), proto.CloneOf(was.Chain)
	next.Epoch, next.Node, next.Generation = was.Epoch.Epoch+1, uint32(n), 1
	index := uint32(next.Epoch)
	chain.Segments = append(chain.Segments, &storedv1.Segment{Index: index, Base: uint64(index), Loglet: &storedv1.Loglet{Id: uint64(id.NewLoglet(0, index))}})
	now, err := c.store.TakeOver(c.t.Context(), 0, was, next, chain, gen(n, 1))
	if err != nil {
		c.t.Fatal(err)
	}
	return now.Epoch
}

func (c *cluster) setWorker(n id.Node, state storedv1.WorkerState) {
	c.t.Helper()
	_, err := c.store.ChangeNode(c.t.Context(), n, func(f *metastore.Facts) (*storedv1.Node, error) {
		return controller.Changed(f, n, controller.Change{Worker: state, Force: true})
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// sets tells whether partition 0 is held like that.
func sets(current, next []uint32) func(*metastore.Snapshot) bool {
	return func(s *metastore.Snapshot) bool {
		return slices.Equal(s.Epochs[0].Replicas, current) && slices.Equal(s.Epochs[0].Next, next)
	}
}

// A worker is drained: another catches up in its place and only then is it dropped and, holding nothing any more, disabled. Each
// step is taken by another controller, which knows what is stored.
func TestDrain(t *testing.T) {
	c := newCluster(t, 1)
	meta := c.join("m", metastore.RoleMetadata)
	a, b := c.join("a", metastore.RoleWorker), c.join("b", metastore.RoleWorker)
	stop := c.controls(controller.Config{Grace: time.Minute}, meta)
	first := c.await("the first placement", func(s *metastore.Snapshot) bool { return len(s.Epochs[0].Replicas) == 1 })
	stop()
	was := id.Node(first.Epochs[0].Replicas[0])
	other := a + b - was
	e := c.lead(was)
	c.alive.set(stand(e, map[id.Node]lsn.LSN{was: 5000, other: 0})...)
	c.setWorker(was, draining)
	stop = c.controls(controller.Config{Grace: time.Minute}, meta)
	c.await("the next set", sets([]uint32{uint32(was)}, []uint32{uint32(other)}))
	stop()
	c.alive.set(stand(e, map[id.Node]lsn.LSN{was: 5000, other: 5000})...) // it has caught up, but does not lead
	stop = c.controls(controller.Config{Grace: time.Minute}, meta)
	c.clock.Await(1)
	c.clock.Advance(time.Second)
	c.clock.Await(1)
	if s := c.view.Current(); !sets([]uint32{uint32(was)}, []uint32{uint32(other)})(s) || s.Node(was).WorkerState != draining {
		t.Errorf("dropped while it leads: %v, %v", s.Epochs[0], s.Node(was))
	}
	stop()
	e = c.lead(other)
	c.alive.set(stand(e, map[id.Node]lsn.LSN{was: 5000, other: 5001})...)
	stop = c.controls(controller.Config{Grace: time.Minute}, meta)
	c.await("the end", func(s *metastore.Snapshot) bool {
		return sets([]uint32{uint32(other)}, nil)(s) && s.Node(was).WorkerState == disabled
	})
	stop()
}

// The replication changes in the metadata, and partitions follow, without a restart.
func TestReplicationChanges(t *testing.T) {
	c := newCluster(t, 1)
	meta := c.join("m", metastore.RoleMetadata)
	a, b := c.join("a", metastore.RoleWorker), c.join("b", metastore.RoleWorker)
	c.control(controller.Config{Grace: time.Minute}, meta)
	first := c.await("the first placement", func(s *metastore.Snapshot) bool { return len(s.Epochs[0].Replicas) == 1 })
	one := id.Node(first.Epochs[0].Replicas[0])
	two := a + b - one
	e := c.lead(one)
	c.alive.set(stand(e, map[id.Node]lsn.LSN{one: 10, two: 10})...)
	_, err := c.store.ChangeCluster(t.Context(), func(f *metastore.Facts) (*storedv1.Cluster, error) {
		next := proto.CloneOf(f.Cluster)
		next.PartitionReplication = "{node: 2}"
		return next, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.await("the next set", func(s *metastore.Snapshot) bool { return len(s.Epochs[0].Next) == 2 || len(s.Epochs[0].Replicas) == 2 })
	defer c.ticks()()
	if s := c.await("two replicas", sets([]uint32{uint32(one), uint32(two)}, nil)); s.Epochs[0].Epoch != 1 {
		t.Errorf("epoch %v", s.Epochs[0])
	}
}

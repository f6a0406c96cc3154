package controller_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
	"reprise/pkg/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type cluster struct {
	t     *testing.T
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
	if _, err := c.store.Provision(t.Context(), &storedv1.Cluster{Partitions: partitions}); err != nil {
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

func (c *cluster) control(cfg controller.Config, self id.Node) {
	c.group.Go("controller", controller.New(cfg, self, c.view, c.store, c.host).Run)
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
	c.control(controller.Config{Copies: 1, Grace: time.Minute}, self)
	c.await("all partitions", func(s *metastore.Snapshot) bool { return shares(s)[self] == 24 })
}

func TestWorkersThatStartTogetherShare(t *testing.T) {
	c := newCluster(t, 24)
	meta := c.join("m", metastore.RoleMetadata)
	a := c.join("a", metastore.RoleWorker)
	b := c.join("b", metastore.RoleWorker)
	c.control(controller.Config{Copies: 1, Settle: time.Second, Grace: time.Minute}, meta)
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
	c.control(controller.Config{Copies: 1, Grace: time.Minute}, meta)
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

func TestOnlyTheOldestActs(t *testing.T) {
	c := newCluster(t, 4)
	first := c.join("m1", metastore.RoleMetadata)
	second := c.join("m2", metastore.RoleMetadata)
	if got := controller.Acting(c.view.Current()); got != first {
		t.Errorf("N%d acts", got)
	}
	c.control(controller.Config{Copies: 1, Grace: time.Minute}, second)
	w := c.join("a", metastore.RoleWorker)
	if shares(c.view.Current()) != nil {
		t.Error("the second placed while the first is there")
	}
	c.kv.Expire("/reprise/v1/c/presence/00000001")
	c.await("the second acts", func(s *metastore.Snapshot) bool { return shares(s)[w] == 4 })
}

func TestAFailedWriteIsTriedAgain(t *testing.T) {
	c := newCluster(t, 4)
	self := c.join("a", metastore.RoleMetadata)
	conflict := &store{Store: c.store, fail: 1, failed: make(chan struct{})}
	c.group.Go("controller", controller.New(controller.Config{Copies: 1}, self, c.view, conflict, c.host).Run)
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

func (s *store) Assign(ctx context.Context, partitions uint32, plan func([][]id.Node) [][]id.Node) (int, error) {
	if s.fail > 0 {
		s.fail--
		close(s.failed)
		return 0, context.DeadlineExceeded
	}
	return s.Store.Assign(ctx, partitions, plan)
}

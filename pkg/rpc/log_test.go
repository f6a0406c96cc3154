package rpc_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"

	logv1 "reprise/api/log/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/certs"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/loglet"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
	"reprise/pkg/sequencer"
)

const logCluster = 0xfeed

var logWriter = id.GenerationalNode{Node: 7, Generation: 3}

// logFabric serves the log-servers of a cluster on loopback and returns the nodes of its metadata.
func logFabric(t testing.TB, c *logservertest.Cluster, n int) []*storedv1.Node {
	return secureLogFabric(t, c, n, nil)
}

func secureLogFabric(t testing.TB, c *logservertest.Cluster, n int, m *certs.Mutual) []*storedv1.Node {
	t.Helper()
	var nodes []*storedv1.Node
	for i := range n {
		node := id.Node(i + 1)
		lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer(rpc.FabricServerOptions()...)
		rpc.NewLogService(c.At(node), logCluster).Register(srv)
		g := lifecycle.NewGroup(context.Background())
		g.Go("grpc", func(context.Context) error { return srv.Serve(m.Listener(lis, true)) })
		t.Cleanup(func() {
			srv.Stop()
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
		scheme := "http://"
		if m != nil {
			scheme = "https://"
		}
		nodes = append(nodes, &storedv1.Node{
			Id: uint32(node), Generation: 1, Address: scheme + lis.Addr().String(), StorageState: storedv1.StorageState_STORAGE_STATE_READ_WRITE,
		})
	}
	return nodes
}

// logDialer runs a dialer until the test ends.
func logDialer(t testing.TB, self id.GenerationalNode, cluster uint64, nodes []*storedv1.Node, parts ...func(*rpc.LogDialer) lifecycle.Part) *rpc.LogDialer {
	t.Helper()
	return secureLogDialer(t, self, cluster, nodes, nil, parts...)
}

func secureLogDialer(t testing.TB, self id.GenerationalNode, cluster uint64, nodes []*storedv1.Node, m *certs.Mutual, parts ...func(*rpc.LogDialer) lifecycle.Part) *rpc.LogDialer {
	t.Helper()
	all := func() []*storedv1.Node { return nodes }
	cfg := rpc.DefaultPeers()
	cfg.TLS = m
	peers := rpc.NewPeers(cfg, all)
	d := rpc.NewLogDialer(self, cluster, all, peers, nil)
	run := []lifecycle.Part{d}
	for _, p := range parts {
		run = append(run, p(d))
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(context.Background())
	g.Go("parts", func(context.Context) error { return lifecycle.Run(ctx, run...) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if err := peers.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

type logEvents struct {
	tails  chan lsn.Offset
	failed chan error
}

func (e *logEvents) Committed(_ id.Loglet, tail lsn.Offset) { e.tails <- tail }
func (e *logEvents) Failed(_ id.Loglet, err error)          { e.failed <- err }

// upTo waits for a tail.
func (e *logEvents) upTo(t testing.TB, want lsn.Offset) {
	t.Helper()
	for {
		select {
		case got := <-e.tails:
			if got >= want {
				return
			}
		case err := <-e.failed:
			t.Fatalf("the loglet failed: %v", err)
		}
	}
}

func TestLogOverTheWire(t *testing.T) {
	c := logservertest.New(t, 3)
	nodes := logFabric(t, c, 3)
	h := host.New(slog.New(slog.DiscardHandler))
	var w *sequencer.Writer
	d := logDialer(t, logWriter, logCluster, nodes, func(d *rpc.LogDialer) lifecycle.Part {
		w = sequencer.NewWriter(sequencer.Default(), logWriter, d, h)
		return w
	})
	l, err := loglet.NewLoglet(5, 2, logWriter, &metastore.Snapshot{Cluster: &storedv1.Cluster{Replication: "{node: 2}"}, Nodes: nodes}, 99)
	if err != nil {
		t.Fatal(err)
	}
	e := &logEvents{tails: make(chan lsn.Offset, 1000), failed: make(chan error, 1)}
	lg, err := w.Open(l, e)
	if err != nil {
		t.Fatal(err)
	}
	const groups, each = 50, 4
	next := lsn.FirstOffset
	for range groups {
		var recs []byte
		for i := range lsn.Offset(each) {
			start := len(recs)
			recs, err = command.Append(recs, command.Header{Kind: command.Step}, nil, make([]byte, 100))
			if err != nil {
				t.Fatal(err)
			}
			command.Stamp(recs[start:], id.Loglet(l.Id), lsn.LSN(next+i), 1, 1, 1)
		}
		lg.Append(next, each, recs)
		next += each
		w.Flush()
	}
	e.upTo(t, next)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := loglet.NewClient(loglet.Default(), d, h)
	tail, err := client.Seal(ctx, l)
	if err != nil || tail != next {
		t.Fatalf("seal: tail %d, %v, want %d", tail, err, next)
	}
	at := lsn.First
	chain := &storedv1.Chain{Segments: []*storedv1.Segment{{Base: 1, Loglet: l}}}
	err = client.Read(ctx, chain, 1, lsn.LSN(next), func(first lsn.LSN, count int, _ []byte) error {
		if first != at {
			t.Errorf("records at %d, want %d", first, at)
		}
		at += lsn.LSN(count)
		return nil
	})
	if err != nil || at != lsn.LSN(next) {
		t.Fatalf("read up to %d: %v", at, err)
	}
	lg.Close()
}

func TestLogRequestsAreFenced(t *testing.T) {
	c := logservertest.New(t, 1)
	nodes := logFabric(t, c, 1)
	ref := c.Loglet(0, 0, logWriter, "1")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ask := func(self id.GenerationalNode, cluster uint64) error {
		s, err := logDialer(t, self, cluster, nodes).Server(1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Info(ctx, logproto.RefOf(ref))
		return err
	}
	if err := ask(logWriter, logCluster); err != nil {
		t.Fatal(err)
	}
	if err := ask(logWriter, logCluster+1); !errs.Is(err, errs.Invalid) {
		t.Errorf("another cluster: %v", err)
	}
	if err := ask(id.GenerationalNode{Node: 7, Generation: 2}, logCluster); !errs.Is(err, errs.Fenced) {
		t.Errorf("an older generation: %v", err)
	}
	if err := ask(id.GenerationalNode{Node: 8, Generation: 1}, logCluster); err != nil {
		t.Errorf("another node: %v", err)
	}
	s := rpc.NewLogService(c.At(1), logCluster)
	if _, err := s.Info(t.Context(), &logv1.InfoRequest{Header: &logv1.Header{Cluster: logCluster, Node: 1, Generation: 1}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("no deadline: %v", err)
	}
}

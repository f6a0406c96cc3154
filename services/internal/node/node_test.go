package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"reprise/pkg/config"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
)

// SIGHUP compacts all databases of the process; what goes wrong is logged, and the next one tries again.
func TestHangupCompacts(t *testing.T) {
	cfg := config.Default()
	h := hosttest.New(hosttest.NewClock(), 1)
	var log bytes.Buffer
	h.Log = slog.New(slog.NewTextHandler(&log, nil))
	hangups := make(chan struct{})
	n := &Node{Daemon: daemon.Daemon{Host: h, Hangups: hangups}, Status: rpc.NewNodeStatus(&cfg, nil, "1", h)}
	asked, answers := make(chan string), make(chan error)
	for _, name := range []string{"a", "b"} {
		n.Status.AddDatabase(rpc.Database{Name: name, Compact: func(context.Context) (before, after uint64, err error) {
			asked <- name
			return 9, 4, <-answers
		}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("compact", n.compactOnHangup)
	for _, fails := range []error{errors.New("disk"), nil} {
		hangups <- struct{}{}
		for _, name := range []string{"a", "b"} {
			if got := <-asked; got != name {
				t.Errorf("%s is compacted, want %s", got, name)
			}
			if answers <- fails; fails != nil {
				break
			}
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if got := log.String(); !strings.Contains(got, "compaction broke off\" err=disk") || !strings.Contains(got, "databases are compacted\" count=2 bytes=8") {
		t.Errorf("said %s", got)
	}
}

// networking.* says how other daemons are connected to; without settings it is as was measured.
func TestKeysOfNetworkingAct(t *testing.T) {
	load := func(environ ...string) *config.Config {
		t.Helper()
		cfg, _, err := config.Load(config.Options{Hostname: "n", Environ: environ})
		if err != nil {
			t.Fatal(err)
		}
		return &cfg
	}
	if got, want := peersConfig(load()), rpc.DefaultPeers(); got != want {
		t.Errorf("defaults %+v, want %+v", got, want)
	}
	got := peersConfig(load("RESTATE_NETWORKING__CONNECT_TIMEOUT=7s", "RESTATE_NETWORKING__HTTP2_KEEP_ALIVE_TIMEOUT=8s", "RESTATE_NETWORKING__DATA_STREAM_WINDOW_SIZE=1 MiB",
		`RESTATE_NETWORKING__CONNECT_RETRY_POLICY={type="exponential", initial-interval="9ms", factor=3.0, max-interval="90ms"}`))
	if got.ConnectTimeout != 7*time.Second || got.UnackedMax != 8*time.Second || got.WindowBytes != 1<<20 ||
		got.Retry.Initial != 9*time.Millisecond || got.Retry.Factor != 3 || got.Retry.Max != 90*time.Millisecond {
		t.Errorf("%+v", got)
	}
}

// gossip-tick-interval and gossip-failure-threshold say how often a process tells that it lives, and when it is dead.
func TestKeysOfGossipAct(t *testing.T) {
	cfg, _, err := config.Load(config.Options{Hostname: "n", Environ: []string{"RESTATE_GOSSIP_TICK_INTERVAL=50ms", "RESTATE_GOSSIP_FAILURE_THRESHOLD=30"}})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.BeatInterval() != 100*time.Millisecond || cfg.DeadAfter() != 1500*time.Millisecond {
		t.Errorf("a beat every %s, dead after %s", cfg.BeatInterval(), cfg.DeadAfter())
	}
	plain := config.Default()
	if plain.BeatInterval() != 200*time.Millisecond || plain.DeadAfter() != time.Second {
		t.Errorf("by default a beat every %s, dead after %s", plain.BeatInterval(), plain.DeadAfter())
	}
}

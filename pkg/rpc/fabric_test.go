package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
)

type fabric struct {
	addr   string
	status *rpc.NodeStatus
	host   host.Host
	stop   func()
}

func startFabric(t *testing.T, cfg rpc.FabricConfig) fabric {
	t.Helper()
	c := config.Default()
	c.NodeName = "n1"
	c.BindAddress = "127.0.0.1:0"
	h := hosttest.Real(1)
	ln, err := rpc.Listen(t.Context(), c.Fabric())
	if err != nil {
		t.Fatal(err)
	}
	status := rpc.NewNodeStatus(&c, []string{"worker"}, "1.0", h)
	cfg.KeepAlive, cfg.KeepAliveTimeout, cfg.Drain = time.Second, 3*time.Second, 200*time.Millisecond
	stop := runFabric(t, rpc.NewFabric(cfg, ln, status, h))
	return fabric{addr: ln.Addr().String(), status: status, host: h, stop: stop}
}

// runFabric serves until stop is called, or the test ends.
func runFabric(t *testing.T, f *rpc.Fabric) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := lifecycle.NewGroup(ctx)
	g.Go("fabric", f.Run)
	<-f.Ready()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := g.Wait(); err != nil {
				t.Errorf("stopped with %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestFabricServesBothOnOnePort(t *testing.T) {
	f := startFabric(t, rpc.FabricConfig{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") })})
	if code, _ := get(t, "http://"+f.addr+"/health"); code != http.StatusServiceUnavailable {
		t.Errorf("health while starting: %d", code)
	}
	f.status.SetMember(&storedv1.Cluster{Name: "localcluster", Fingerprint: 7}, id.GenerationalNode{Node: 1, Generation: 2})
	f.status.SetMetadata(func() []string { return []string{"http://etcd:2379"} })
	f.status.SetAlive()
	code, body := get(t, "http://"+f.addr+"/health")
	var health rpc.Health
	if err := json.Unmarshal([]byte(body), &health); err != nil || code != 200 || health.Status != "Alive" || health.NodeID != "N1:2" || health.ClusterName != "localcluster" {
		t.Errorf("health: %d %s (%v)", code, body, err)
	}
	if code, body := get(t, "http://"+f.addr+"/metrics"); code != 200 || body != "metrics" {
		t.Errorf("metrics: %d %s", code, body)
	}
	if code, _ := get(t, "http://"+f.addr+"/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("pprof is served without being enabled: %d", code)
	}
	if code, _ := get(t, "http://"+f.addr+"/debug/heap/flamegraph"); code != http.StatusNotFound {
		t.Errorf("a flame graph is served without being enabled: %d", code)
	}
	urls, err := rpc.FindMetadata(t.Context(), []string{"http://" + f.addr}, "localcluster", nil, hosttest.Real(1))
	if err != nil || len(urls) != 1 || urls[0] != "http://etcd:2379" {
		t.Errorf("metadata: %v %v", urls, err)
	}
	f.status.SetStopping()
	if code, body := get(t, "http://"+f.addr+"/health"); code != http.StatusServiceUnavailable || !strings.Contains(body, "Stopping") {
		t.Errorf("health while stopping: %d %s", code, body)
	}
	f.stop()
	if c, err := net.Dial("tcp", f.addr); err == nil {
		_ = c.Close()
		t.Error("the port is still open")
	}
}

func TestPprofIsServedIfEnabled(t *testing.T) {
	flame := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "flame") }
	f := startFabric(t, rpc.FabricConfig{Pprof: true, Flame: http.HandlerFunc(flame)})
	if code, body := get(t, "http://"+f.addr+"/debug/pprof/"); code != 200 || !strings.Contains(body, "goroutine") {
		t.Errorf("pprof: %d", code)
	}
	if code, body := get(t, "http://"+f.addr+"/debug/heap/flamegraph"); code != 200 || body != "flame" {
		t.Errorf("flame graph: %d %s", code, body)
	}
	if code, _ := get(t, "http://"+f.addr+"/metrics"); code != http.StatusNotFound {
		t.Errorf("metrics without a handler: %d", code)
	}
}

// A peer that says nothing, or half of a preface, holds up nobody, and a stop does not wait for it.
func TestFabricWithSilentPeers(t *testing.T) {
	f := startFabric(t, rpc.FabricConfig{})
	f.status.SetAlive()
	var conns []net.Conn
	for _, say := range []string{"", "PRI * H", "G"} {
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if _, err := io.WriteString(c, say); err != nil {
			t.Fatal(err)
		}
	}
	if code, _ := get(t, "http://"+f.addr+"/health"); code != 200 {
		t.Errorf("health: %d", code)
	}
	f.stop()
	for _, c := range conns {
		if _, err := io.ReadAll(c); err != nil && errors.Is(err, context.DeadlineExceeded) {
			t.Error("a connection was left open")
		}
		_ = c.Close()
	}
}

func TestPortTakenNamesTheKey(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := config.Default()
	c.Ingress.BindAddress = ln.Addr().String()
	_, err = rpc.Listen(t.Context(), c.IngressEndpoint())
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "ingress.bind-port") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestFindMetadata(t *testing.T) {
	f := startFabric(t, rpc.FabricConfig{})
	h := hosttest.Real(1)
	if _, err := rpc.FindMetadata(t.Context(), nil, "localcluster", nil, h); !errs.Is(err, errs.Invalid) {
		t.Errorf("no address: %v", err)
	}
	if _, err := rpc.FindMetadata(t.Context(), []string{f.addr}, "other", nil, h); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "localcluster") {
		t.Errorf("another cluster: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := rpc.FindMetadata(ctx, []string{f.addr}, "localcluster", nil, h); !errs.Is(err, errs.Unavailable) {
		t.Errorf("nobody knows: %v", err)
	}
	// The first address is dead, the second learns of the metadata while it is asked.
	asked := make(chan struct{}, 1)
	n := 0
	f.status.SetMetadata(func() []string {
		if n++; n < 3 {
			return nil
		}
		asked <- struct{}{}
		return []string{"http://etcd:2379"}
	})
	urls, err := rpc.FindMetadata(t.Context(), []string{"http://127.0.0.1:1", f.addr}, "localcluster", nil, h)
	<-asked
	if err != nil || len(urls) != 1 {
		t.Errorf("found %v, %v", urls, err)
	}
}

package rpc_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/certs"
	"reprise/pkg/certs/certstest"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/rpc"
)

// loopback has a certificate for every daemon of these tests.
var loopback = certstest.Leaf{Name: "node", Hosts: []string{"127.0.0.1"}}

func openMutual(t testing.TB, f certstest.Files, strict bool) *certs.Mutual {
	t.Helper()
	m, err := certs.OpenMutual(certs.MutualConfig{Cert: f.Cert, Key: f.Key, CA: f.CA, Strict: strict}, "networking.tls", hosttest.Real(1))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ident(t *testing.T, p *rpc.LogPeers) error {
	t.Helper()
	conn, err := p.Conn(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = clusterv1.NewNodeServiceClient(conn).Ident(ctx, &clusterv1.IdentRequest{})
	return err
}

// fetch asks with a client of its own.
func fetch(t *testing.T, method, url string, body io.Reader, c *tls.Config) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: c}}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// Who reaches a strict fabric port: with a certificate everything, without one the health alone.
func TestStrictFabric(t *testing.T) {
	ours, strange := certstest.New(t, "ours"), certstest.New(t, "strange")
	m := openMutual(t, ours.Files(t, t.TempDir(), loopback), true)
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") })
	f := startFabric(t, rpc.FabricConfig{TLS: m, Metrics: metrics})
	open := startFabric(t, rpc.FabricConfig{TLS: m, Metrics: metrics, OpenMetrics: true})
	f.status.SetAlive()
	anonymous := &tls.Config{RootCAs: ours.Pool()}
	known := &tls.Config{RootCAs: ours.Pool(), Certificates: []tls.Certificate{ours.Pair(t, certstest.Leaf{Name: "prometheus"})}}
	for _, row := range []struct {
		name, url string
		c         *tls.Config
		code      int
		says      string
	}{
		{"health, plain", "http://" + f.addr + "/health", nil, 200, "Alive"},
		{"health, anonymous", "https://" + f.addr + "/health", anonymous, 200, "Alive"},
		{"health, known", "https://" + f.addr + "/health", known, 200, "Alive"},
		{"metrics, plain", "http://" + f.addr + "/metrics", nil, 403, "networking.tls.ca"},
		{"metrics, anonymous", "https://" + f.addr + "/metrics", anonymous, 403, "networking.tls.ca"},
		{"metrics, known", "https://" + f.addr + "/metrics", known, 200, "metrics"},
		{"open metrics, plain", "http://" + open.addr + "/metrics", nil, 200, "metrics"},
		{"open metrics, anonymous", "https://" + open.addr + "/metrics", anonymous, 200, "metrics"},
		{"anything, plain", "http://" + open.addr + "/debug/pprof/", nil, 403, "networking.tls.ca"},
	} {
		if code, body := fetch(t, http.MethodGet, row.url, http.NoBody, row.c); code != row.code || !strings.Contains(body, row.says) {
			t.Errorf("%s: %d %s", row.name, code, body)
		}
	}
	peers := func(cfg *certs.Mutual, scheme string) *rpc.LogPeers {
		c := rpc.DefaultPeers()
		c.TLS = cfg
		p := rpc.NewPeers(c, func() []*storedv1.Node { return []*storedv1.Node{{Id: 1, Address: scheme + "://" + f.addr}} })
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	files := ours.Files(t, t.TempDir(), certstest.Leaf{Name: "peer"})
	for _, row := range []struct {
		name   string
		peers  *rpc.LogPeers
		passes bool
		fault  string // "": how the end of a connection shows is the system's
	}{
		{"known", peers(openMutual(t, files, true), "https"), true, ""},
		{"plain", peers(nil, "https"), false, ""},
		{"it says that it is plain", peers(openMutual(t, files, true), "http"), false, "networking.tls.mode is strict here"},
		{"optional, and it says that it is plain", peers(openMutual(t, files, false), "http"), false, ""},
		{"another authority", peers(openMutual(t, strange.Files(t, t.TempDir(), loopback), false), "https"), false, "unknown authority"},
	} {
		if err := ident(t, row.peers); (err == nil) != row.passes || err != nil && !strings.Contains(err.Error(), row.fault) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// What an unknown client sends is not read: the answer comes while it still has its body to send.
func TestRefusedBeforeTheBody(t *testing.T) {
	ours := certstest.New(t, "ours")
	f := startFabric(t, rpc.FabricConfig{TLS: openMutual(t, ours.Files(t, t.TempDir(), loopback), true)})
	for _, secure := range []bool{false, true} {
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if secure {
			c = tls.Client(c, &tls.Config{RootCAs: ours.Pool(), ServerName: "127.0.0.1"})
		}
		if _, err := io.WriteString(c, "POST /debug/bundle HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c) // it ends, since the connection does
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403") {
			t.Errorf("TLS %t: %q, %v", secure, answer, err)
		}
	}
}

// A daemon is started again with another mode, at the same port. Others keep what they have of it, and reach it each time.
func TestModeChangesUnderAClient(t *testing.T) {
	ours := certstest.New(t, "ours")
	files := ours.Files(t, t.TempDir(), loopback)
	modes := map[string]*certs.Mutual{"off": nil, "optional": openMutual(t, files, false), "strict": openMutual(t, files, true)}
	address, at := "127.0.0.1:0", ""
	start := func(mode string) func() {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		address = ln.Addr().String()
		at = "http://" + address
		if mode != "off" {
			at = "https://" + address
		}
		c := config.Default()
		status := rpc.NewNodeStatus(&c, []string{"worker"}, "1.0", hosttest.Real(1))
		return runFabric(t, rpc.NewFabric(rpc.FabricConfig{TLS: modes[mode], KeepAlive: time.Second, KeepAliveTimeout: 3 * time.Second, Drain: time.Second}, ln, status, hosttest.Real(1)))
	}
	clients := map[string]*rpc.LogPeers{}
	for mode, m := range modes {
		cfg := rpc.DefaultPeers()
		cfg.TLS = m
		clients[mode] = rpc.NewPeers(cfg, func() []*storedv1.Node { return []*storedv1.Node{{Id: uint32(id.Node(1)), Address: at}} })
		defer clients[mode].Close()
	}
	for _, step := range []struct {
		mode    string
		clients []string
	}{
		{"off", []string{"off", "optional"}}, {"optional", []string{"off", "optional"}}, {"optional", []string{"optional", "strict"}},
		{"strict", []string{"optional", "strict"}}, {"optional", []string{"optional", "strict"}}, {"off", []string{"off", "optional"}},
	} {
		stop := start(step.mode)
		for _, c := range step.clients {
			// A connection that ended is made anew by the call that needs it, or by the one after.
			for err := ident(t, clients[c]); err != nil; err = ident(t, clients[c]) {
				if !errs.Is(err, errs.Uncertain) && !errs.Is(err, errs.Unavailable) {
					t.Fatalf("%s asks a daemon that is %s: %v", c, step.mode, err)
				}
				if t.Context().Err() != nil {
					t.Fatal(err)
				}
			}
		}
		stop()
	}
}

// Whoever looks for the cluster was told an address by a person, perhaps in the time before TLS.
func TestFindMetadataWithTLS(t *testing.T) {
	ours := certstest.New(t, "ours")
	files := ours.Files(t, t.TempDir(), loopback)
	optional, strict := openMutual(t, files, false), openMutual(t, files, true)
	for _, row := range []struct {
		name           string
		server, client *certs.Mutual
		scheme         string
	}{
		{"strict both", strict, strict, "https://"}, {"strict both, an old address", strict, strict, "http://"}, {"an old address", strict, optional, "http://"},
		{"the other one has none yet", nil, optional, "https://"}, {"this one has none yet", optional, nil, "https://"},
	} {
		f := startFabric(t, rpc.FabricConfig{TLS: row.server})
		f.status.SetMetadata(func() []string { return []string{"http://etcd:2379"} })
		if urls, err := rpc.FindMetadata(t.Context(), []string{row.scheme + f.addr}, "localcluster", row.client, hosttest.Real(1)); err != nil || len(urls) != 1 {
			t.Errorf("%s: %v, %v", row.name, urls, err)
		}
	}
}

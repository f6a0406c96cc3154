package certs_test

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/pkg/certs"
	"reprise/pkg/certs/certstest"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
)

// files writes each into a folder, and returns their paths.
func files(t *testing.T, dir string, cert, key, ca []byte) certs.Config {
	t.Helper()
	f := certstest.Save(t, dir, cert, key, ca)
	return certs.Config{Cert: f.Cert, Key: f.Key, CA: f.CA, Protocols: []string{"h2"}}
}

func server(name string) certstest.Leaf { return certstest.Leaf{Name: name, Hosts: []string{name}} }

// greet has a client shake hands with c, and returns whom it met and the errors of both.
func greet(t *testing.T, c *certs.Certs, client *tls.Config) (met string, errClient, errServer error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	server := tls.Server(b, c.Server())
	g := lifecycle.NewGroup(context.Background())
	g.Go("server", func(ctx context.Context) error {
		if errServer = server.HandshakeContext(ctx); errServer == nil {
			_, errServer = server.Write([]byte("x"))
		}
		_ = b.Close() // the client sees the end
		return nil
	})
	conn := tls.Client(a, client)
	if errClient = conn.HandshakeContext(t.Context()); errClient == nil {
		met = conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		_, errClient = conn.Read(make([]byte, 1))
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return met, errClient, errServer
}

func TestClients(t *testing.T) {
	ours, strange := certstest.New(t, "ours"), certstest.New(t, "strange")
	cert, key := ours.Issue(t, server("server"))
	roots := ours.Pool()
	pair := func(a *certstest.Authority) []tls.Certificate { return []tls.Certificate{a.Pair(t, server("client"))} }
	for _, row := range []struct {
		auth   string
		shown  []tls.Certificate
		passes bool
	}{
		{"", nil, true},
		{"none", pair(strange), true},
		{"optional", nil, true},
		{"optional", pair(ours), true},
		{"optional", pair(strange), false},
		{"required", nil, false},
		{"required", pair(ours), true},
		{"required", pair(strange), false},
	} {
		cfg := files(t, t.TempDir(), cert, key, ours.PEM)
		cfg.ClientAuth = row.auth
		c, err := certs.Open(cfg, "ingress.tls", hosttest.New(hosttest.NewClock(), 1))
		if err != nil {
			t.Fatal(err)
		}
		// a client sends what it has even where the server names other authorities
		show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(row.shown) == 0 {
				return &tls.Certificate{}, nil
			}
			return &row.shown[0], nil
		}
		met, errClient, errServer := greet(t, c, &tls.Config{RootCAs: roots, ServerName: "server", GetClientCertificate: show})
		if met != "server" && row.passes || (errClient == nil && errServer == nil) != row.passes {
			t.Errorf("%q with %d certificates: met %q, %v, %v", row.auth, len(row.shown), met, errClient, errServer)
		}
	}
}

func TestWrongFiles(t *testing.T) {
	a := certstest.New(t, "authority")
	cert, key := a.Issue(t, server("server"))
	_, other := a.Issue(t, server("other"))
	for _, row := range []struct {
		name  string
		spoil func(*certs.Config)
		want  string
	}{
		{"no cert", func(c *certs.Config) { c.Cert = "" }, "ingress.tls.cert: name a file in PEM"},
		{"no key", func(c *certs.Config) { c.Key = "" }, "ingress.tls.key: name a file in PEM"},
		{"missing file", func(c *certs.Config) { c.Cert += "x" }, "ingress.tls.cert: open"},
		{"folder", func(c *certs.Config) { c.Key = filepath.Dir(c.Key) }, "ingress.tls.key: read"},
		{"other key", func(c *certs.Config) { certstest.Write(t, c.Key, other) }, "private key does not match"},
		{"garbage", func(c *certs.Config) { certstest.Write(t, c.Cert, []byte("x")) }, "failed to find any PEM"},
		{"no authority", func(c *certs.Config) { certstest.Write(t, c.CA, key) }, "has no certificate in PEM"},
		{"mode", func(c *certs.Config) { c.ClientAuth = "maybe" }, `ingress.tls.client-auth: "maybe" is none of none, optional, required`},
	} {
		cfg := files(t, t.TempDir(), cert, key, a.PEM)
		row.spoil(&cfg)
		if _, err := certs.Open(cfg, "ingress.tls", hosttest.New(hosttest.NewClock(), 1)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// The files may change one after the other: the former certificate is shown until both fit.
func TestFollow(t *testing.T) {
	a := certstest.New(t, "authority")
	roots := a.Pool()
	cert, key := a.Issue(t, server("old"))
	cfg := files(t, t.TempDir(), cert, key, a.PEM)
	clock := hosttest.NewClock()
	c, err := certs.Open(cfg, "ingress.tls", hosttest.New(clock, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("follow", c.Run)
	cert, key = a.Issue(t, server("new"))
	for _, step := range []struct {
		path string
		text []byte
		want string
	}{{cfg.Cert, cert, "old"}, {cfg.Key, key, "new"}} {
		certstest.Write(t, step.path, step.text)
		clock.Await(1)
		clock.Advance(2 * time.Second)
		clock.Await(1)
		if met, errClient, errServer := greet(t, c, &tls.Config{RootCAs: roots, ServerName: step.want}); met != step.want {
			t.Errorf("met %q, not %q: %v, %v", met, step.want, errClient, errServer)
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

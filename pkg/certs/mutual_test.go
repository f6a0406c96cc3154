package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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

func mutual(t *testing.T, f certstest.Files, strict bool, names ...string) *certs.Mutual {
	t.Helper()
	m, err := certs.OpenMutual(certs.MutualConfig{Cert: f.Cert, Key: f.Key, CA: f.CA, Names: names, Strict: strict}, "networking.tls", hosttest.Real(1))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// meet has a client connect to a listener of m and exchange a byte; standing is what the server saw.
func meet(t *testing.T, m *certs.Mutual, onlyDaemons bool, client func(net.Conn) (net.Conn, error)) (standing certs.Standing, err error) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := m.Listener(tcp, onlyDaemons)
	defer ln.Close()
	g := lifecycle.NewGroup(t.Context())
	g.Go("server", func(context.Context) error {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		defer c.Close()
		b := make([]byte, 1)
		if _, err := c.Read(b); err != nil {
			return err
		}
		if conn, ok := c.(*certs.Conn); ok {
			standing = conn.Standing()
		}
		_, err = c.Write(b)
		return err
	})
	errClient := func() error {
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		if client != nil {
			if c, err = client(c); err != nil {
				return err
			}
		}
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 1))
		return err
	}()
	return standing, errors.Join(errClient, g.Wait())
}

// daemon connects as a daemon with certificates does.
func daemon(t *testing.T, m *certs.Mutual, host string) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) { return m.Client(t.Context(), c, host) }
}

// browser connects with TLS, and a certificate or none.
func browser(a *certstest.Authority, pairs ...tls.Certificate) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) {
		return tls.Client(c, &tls.Config{RootCAs: a.Pool(), ServerName: "server", Certificates: pairs}), nil
	}
}

func TestWhoMayConnect(t *testing.T) {
	ours, strange := certstest.New(t, "ours"), certstest.New(t, "strange")
	server := ours.Files(t, t.TempDir(), certstest.Leaf{Name: "node", Hosts: []string{"server"}})
	leaf := certstest.Leaf{Name: "client", Hosts: []string{"client"}}
	peer := mutual(t, ours.Files(t, t.TempDir(), leaf), true)
	stranger := mutual(t, strange.Files(t, t.TempDir(), leaf), true)
	over := ours.Pair(t, certstest.Leaf{Name: "over", Until: time.Unix(1<<30, 0)})
	early := ours.Pair(t, certstest.Leaf{Name: "early", From: certstest.Never.Add(-time.Hour)})
	serverOnly := ours.Pair(t, certstest.Leaf{Name: "half", Uses: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for _, row := range []struct {
		name        string
		strict      bool
		onlyDaemons bool
		names       []string
		client      func(net.Conn) (net.Conn, error)
		want        certs.Standing
		fault       string // "": it passes
	}{
		{"plain, optional", false, false, nil, nil, certs.Plain, ""},
		{"plain, optional, etcd", false, true, nil, nil, certs.Plain, ""},
		{"plain, strict: the port decides", true, false, nil, nil, certs.Plain, ""},
		{"plain, strict, etcd", true, true, nil, nil, 0, "speaks no TLS"},
		{"daemon, optional", false, false, nil, daemon(t, peer, "server"), certs.Known, ""},
		{"daemon, strict", true, false, nil, daemon(t, peer, "server"), certs.Known, ""},
		{"daemon, strict, etcd", true, true, nil, daemon(t, peer, "server"), certs.Known, ""},
		{"daemon, another host", true, false, nil, daemon(t, peer, "elsewhere"), 0, "not elsewhere"},
		{"daemon of another authority", false, false, nil, daemon(t, stranger, "server"), 0, "unknown authority"},
		{"browser without a certificate", true, false, nil, browser(ours), certs.Anonymous, ""},
		{"browser without a certificate, etcd", true, true, nil, browser(ours), 0, "certificate required"},
		{"browser with a certificate", true, false, nil, browser(ours, ours.Pair(t, leaf)), certs.Known, ""},
		{"another authority", false, false, nil, browser(ours, strange.Pair(t, leaf)), certs.Anonymous, ""}, // Go's client does not show what the server would not take
		{"ended", true, true, nil, browser(ours, over), 0, "expired"},
		{"not yet", true, true, nil, browser(ours, early), 0, "not yet valid"},
		{"not for clients", true, true, nil, browser(ours, serverOnly), 0, "incompatible key usage"},
		{"allowed", true, false, []string{"node", "client"}, daemon(t, peer, "server"), certs.Known, ""},
		{"allowed for any label", true, false, []string{"node", "*.example.org"}, browser(ours, ours.Pair(t, certstest.Leaf{Hosts: []string{"a.example.org"}})), certs.Known, ""},
		{"two labels", true, false, []string{"node", "*.example.org"}, browser(ours, ours.Pair(t, certstest.Leaf{Hosts: []string{"b.a.example.org"}})), 0, "allowed-names"},
		{"not allowed", true, false, []string{"node", "other"}, daemon(t, peer, "server"), 0, "allowed-names"},
		{"not allowed, optional", false, false, []string{"node", "other"}, daemon(t, peer, "server"), 0, "allowed-names"},
	} {
		got, err := meet(t, mutual(t, server, row.strict, row.names...), row.onlyDaemons, row.client)
		if got != row.want || (err == nil) != (row.fault == "") || err != nil && !strings.Contains(err.Error(), row.fault) {
			t.Errorf("%s: %s, %v", row.name, got, err)
		}
	}
}

// A name that is allowed stands for any host: nodes whose addresses change need no new certificates.
func TestAllowedNamesStandForAnyHost(t *testing.T) {
	a := certstest.New(t, "ours")
	server := mutual(t, a.Files(t, t.TempDir(), certstest.Leaf{Name: "daemon.reprise"}), true)
	client := mutual(t, a.Files(t, t.TempDir(), certstest.Leaf{Name: "daemon.reprise"}), true, "daemon.reprise")
	if got, err := meet(t, server, true, daemon(t, client, "10.1.2.3")); got != certs.Known || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if err := client.CheckHost("10.1.2.3"); err != nil {
		t.Error(err)
	}
	if err := server.CheckHost("10.1.2.3"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "networking.tls.cert") || !strings.Contains(err.Error(), "10.1.2.3") {
		t.Errorf("no name fits: %v", err)
	}
}

func TestMutualWrongFiles(t *testing.T) {
	a, strange := certstest.New(t, "ours"), certstest.New(t, "strange")
	cert, key := a.Issue(t, certstest.Leaf{Name: "node", Hosts: []string{"node"}})
	for _, row := range []struct {
		name  string
		spoil func(*certs.MutualConfig)
		want  []string
	}{
		{"no files", func(c *certs.MutualConfig) { *c = certs.MutualConfig{} }, []string{"networking.tls.cert: name", "networking.tls.key: name", "networking.tls.ca: name"}},
		{"two are missing", func(c *certs.MutualConfig) { c.Cert += "x"; c.CA += "x" }, []string{"networking.tls.cert: open", "networking.tls.ca: open", "may read"}},
		{"another key", func(c *certs.MutualConfig) {
			_, other := a.Issue(t, certstest.Leaf{Name: "other"})
			certstest.Write(t, c.Key, other)
		}, []string{"networking.tls.cert", "networking.tls.key", "private key does not match"}},
		{"another authority", func(c *certs.MutualConfig) { certstest.Write(t, c.CA, strange.PEM) }, []string{"networking.tls.ca", "unknown authority", "issue it anew"}},
		{"ended", func(c *certs.MutualConfig) {
			*c = configOf(a.Files(t, filepath.Dir(c.Cert), certstest.Leaf{Name: "node", Until: time.Unix(1<<30, 0)}))
		}, []string{"networking.tls.cert", "tls.crt is good from", "2004-01-10", "issue another one"}},
		{"for servers only", func(c *certs.MutualConfig) {
			*c = configOf(a.Files(t, filepath.Dir(c.Cert), certstest.Leaf{Name: "node", Uses: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
		}, []string{"networking.tls.cert", "as clientAuth", "for both uses"}},
		{"not allowed itself", func(c *certs.MutualConfig) { c.Names = []string{"other"} }, []string{"networking.tls.allowed-names", "add one of node"}},
	} {
		cfg := configOf(certstest.Save(t, t.TempDir(), cert, key, a.PEM))
		row.spoil(&cfg)
		_, err := certs.OpenMutual(cfg, "networking.tls", hosttest.Real(1))
		for _, want := range row.want {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", row.name, err, want)
			}
		}
	}
}

func configOf(f certstest.Files) certs.MutualConfig {
	return certs.MutualConfig{Cert: f.Cert, Key: f.Key, CA: f.CA}
}

// The authority is replaced without a restart: first both are trusted, then certificates change, then the old one goes. A connection that was made before lives on.
func TestRotation(t *testing.T) {
	old, next := certstest.New(t, "old"), certstest.New(t, "next")
	both := append(append([]byte{}, old.PEM...), next.PEM...)
	leaf := certstest.Leaf{Name: "node", Hosts: []string{"server"}}
	f := old.Files(t, t.TempDir(), leaf)
	clock := hosttest.NewClock()
	cfg := configOf(f)
	cfg.Strict = true
	m, err := certs.OpenMutual(cfg, "networking.tls", hosttest.New(clock, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("follow", m.Run)
	look := func() {
		clock.Await(1)
		clock.Advance(2 * time.Second)
		clock.Await(1)
	}
	for _, step := range []struct {
		name     string
		change   func()
		old, new bool // whether peers with certificates of the authority get through, both of which trust both
	}{
		{"at first", func() {}, true, false},
		{"both are trusted", func() { certstest.Write(t, f.CA, both) }, true, true},
		{"half of another certificate", func() {
			cert, _ := next.Issue(t, leaf)
			certstest.Write(t, f.Cert, cert)
		}, true, true},
		{"another certificate", func() {
			cert, key := next.Issue(t, leaf)
			certstest.Write(t, f.Cert, cert)
			certstest.Write(t, f.Key, key)
		}, true, true},
		{"an authority that did not sign it", func() { certstest.Write(t, f.CA, old.PEM) }, true, true},
		{"the old one goes", func() { certstest.Write(t, f.CA, next.PEM) }, false, true},
	} {
		step.change()
		look()
		for _, peer := range []struct {
			by   *certstest.Authority
			pass bool
		}{{old, step.old}, {next, step.new}} {
			cert, key := peer.by.Issue(t, leaf)
			p := mutual(t, certstest.Save(t, t.TempDir(), cert, key, both), true)
			if got, err := meet(t, m, true, daemon(t, p, "server")); (err == nil) != peer.pass || peer.pass && got != certs.Known {
				t.Errorf("%s: a peer of %s: %s, %v", step.name, peer.by.Cert.Subject.CommonName, got, err)
			}
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

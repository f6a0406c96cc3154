package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/pkg/certs"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue returns a certificate and its key in PEM.
func (a *authority) issue(t *testing.T, name string, until time.Time) (cert, key []byte) {
	t.Helper()
	k := newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Unix(0, 0), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// files writes each into a folder, and returns their paths.
func files(t *testing.T, dir string, cert, key, ca []byte) certs.Config {
	t.Helper()
	cfg := certs.Config{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt"), Protocols: []string{"h2"}}
	for path, text := range map[string][]byte{cfg.Cert: cert, cfg.Key: key, cfg.CA: ca} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

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

var never = time.Unix(1<<33, 0)

func TestClients(t *testing.T) {
	ours, strange := newAuthority(t), newAuthority(t)
	cert, key := ours.issue(t, "server", never)
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	pair := func(a *authority) []tls.Certificate {
		c, k := a.issue(t, "client", never)
		out, err := tls.X509KeyPair(c, k)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{out}
	}
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
		cfg := files(t, t.TempDir(), cert, key, ours.pem)
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
	a := newAuthority(t)
	cert, key := a.issue(t, "server", never)
	_, other := a.issue(t, "other", never)
	for _, row := range []struct {
		name  string
		spoil func(*certs.Config)
		want  string
	}{
		{"no cert", func(c *certs.Config) { c.Cert = "" }, "ingress.tls.cert: name a file in PEM"},
		{"no key", func(c *certs.Config) { c.Key = "" }, "ingress.tls.key: name a file in PEM"},
		{"missing file", func(c *certs.Config) { c.Cert += "x" }, "ingress.tls.cert: open"},
		{"folder", func(c *certs.Config) { c.Key = filepath.Dir(c.Key) }, "ingress.tls.key: read"},
		{"other key", func(c *certs.Config) { write(t, c.Key, other) }, "private key does not match"},
		{"garbage", func(c *certs.Config) { write(t, c.Cert, []byte("x")) }, "failed to find any PEM"},
		{"no authority", func(c *certs.Config) { write(t, c.CA, key) }, "has no certificate in PEM"},
		{"mode", func(c *certs.Config) { c.ClientAuth = "maybe" }, `ingress.tls.client-auth: "maybe" is none of none, optional, required`},
	} {
		cfg := files(t, t.TempDir(), cert, key, a.pem)
		row.spoil(&cfg)
		if _, err := certs.Open(cfg, "ingress.tls", hosttest.New(hosttest.NewClock(), 1)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// The files may change one after the other: the former certificate is shown until both fit.
func TestFollow(t *testing.T) {
	a := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	cert, key := a.issue(t, "old", never)
	cfg := files(t, t.TempDir(), cert, key, a.pem)
	clock := hosttest.NewClock()
	c, err := certs.Open(cfg, "ingress.tls", hosttest.New(clock, 1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g := lifecycle.NewGroup(ctx)
	g.Go("follow", c.Run)
	cert, key = a.issue(t, "new", never)
	for _, step := range []struct {
		path string
		text []byte
		want string
	}{{cfg.Cert, cert, "old"}, {cfg.Key, key, "new"}} {
		write(t, step.path, step.text)
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

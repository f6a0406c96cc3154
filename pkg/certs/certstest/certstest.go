package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"hash/fnv"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"reprise/pkg/host/hosttest"
)

// Never is when certificates end of which a test does not say it.
var Never = time.Unix(1<<33, 0)

// Authority signs certificates.
type Authority struct {
	Cert *x509.Certificate
	PEM  []byte
	key  *ecdsa.PrivateKey
	rand io.Reader
}

// Files are where certificate, key and authority lie.
type Files struct{ Cert, Key, CA string }

// Leaf is a certificate to be.
type Leaf struct {
	Name  string   // common name
	Hosts []string // names and addresses of hosts
	From  time.Time
	Until time.Time          // zero: Never
	Uses  []x509.ExtKeyUsage // nil: of servers and of clients
}

func newKey(t testing.TB, rand io.Reader) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// reader reads from a source that never fails.
type reader struct{ *hosttest.Rand }

// Read implements io.Reader.
func (r reader) Read(b []byte) (int, error) {
	r.Rand.Read(b)
	return len(b), nil
}

// New returns an authority with a name. It is for one goroutine.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(name)) // it never fails
	rand := reader{hosttest.NewRand(seed.Sum64())}
	a := &Authority{key: newKey(t, rand), rand: rand}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: Never, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand, tmpl, tmpl, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.Cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// Pool has this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// Issue returns a certificate and its key in PEM.
func (a *Authority) Issue(t testing.TB, l Leaf) (cert, key []byte) {
	t.Helper()
	k := newKey(t, a.rand)
	if l.Until.IsZero() {
		l.Until = Never
	}
	if l.From.IsZero() {
		l.From = time.Unix(0, 0)
	}
	if l.Uses == nil {
		l.Uses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: l.Name}, NotBefore: l.From, NotAfter: l.Until, ExtKeyUsage: l.Uses}
	for _, h := range l.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(a.rand, tmpl, a.Cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// Pair returns a certificate as package tls takes it.
func (a *Authority) Pair(t testing.TB, l Leaf) tls.Certificate {
	t.Helper()
	cert, key := a.Issue(t, l)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Files writes a certificate with its key and the authority into a folder.
func (a *Authority) Files(t testing.TB, dir string, l Leaf) Files {
	t.Helper()
	cert, key := a.Issue(t, l)
	return Save(t, dir, cert, key, a.PEM)
}

// Save writes what is in PEM into a folder.
func Save(t testing.TB, dir string, cert, key, ca []byte) Files {
	t.Helper()
	f := Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
	Write(t, f.Cert, cert)
	Write(t, f.Key, key)
	Write(t, f.CA, ca)
	return f
}

// Write writes a file.
func Write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

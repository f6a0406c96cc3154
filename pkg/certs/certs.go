package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

// Config names files in PEM.
type Config struct {
	Cert       string // certificate, with what it was signed with up to the root (cert)
	Key        string // its private key (key)
	CA         string // certificates that sign those of clients (ca); "": the ones of the system
	ClientAuth string // none (default), optional: if a client shows a certificate it must be good, required (client-auth)

	Protocols []string // of ALPN, in the order of preference

	peers  bool     // both sides show certificates that CA signed, and this one is shown by either: see Mutual
	client bool     // there may be no certificate
	names  []string // of those who may connect, and be connected to under any host
}

var clientAuths = map[string]tls.ClientAuthType{
	"": tls.NoClientCert, "none": tls.NoClientCert, "optional": tls.VerifyClientCertIfGiven, "required": tls.RequireAndVerifyClientCert,
}

const (
	// followInterval is how often the files are looked at.
	followInterval = 2 * time.Second
	// expirySoon is how long before its end a certificate is complained of.
	expirySoon = 14 * 24 * time.Hour
	// expiryPause lies between two complaints of that.
	expiryPause = 12 * time.Hour
)

// Certs are the files of one listener. It is safe for concurrent use.
type Certs struct {
	cfg     Config
	key     string
	host    host.Host
	current atomic.Pointer[keys]

	metrics *metrics

	complaint  string // that was logged last; of Run alone, as is what follows
	complained time.Time
}

// keys are what the files held.
type keys struct {
	texts  [3][]byte // cert, key, ca
	cert   tls.Certificate
	roots  *x509.CertPool
	server *tls.Config // of its own, so that nobody resumes a session of former keys
}

var _ lifecycle.Part = (*Certs)(nil)

// Open reads the files; key is the table of the configuration that names them. Codes: Invalid.
func Open(cfg Config, key string, h host.Host) (*Certs, error) {
	c := &Certs{cfg: cfg, key: key, host: h, metrics: newMetrics(h.Metrics)}
	k, err := c.read()
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	c.take(k)
	return c, nil
}

func (c *Certs) take(k *keys) {
	c.current.Store(k)
	if k.cert.Leaf != nil {
		c.metrics.ends.WithLabelValues(c.key).Set(float64(k.cert.Leaf.NotAfter.Unix()))
	}
}

func (c *Certs) read() (*keys, error) {
	var k keys
	var faults []error
	if _, ok := clientAuths[c.cfg.ClientAuth]; !ok {
		faults = append(faults, fmt.Errorf("%s.client-auth: %q is none of none, optional, required", c.key, c.cfg.ClientAuth))
	}
	for i, f := range []struct{ key, path string }{{"cert", c.cfg.Cert}, {"key", c.cfg.Key}, {"ca", c.cfg.CA}} {
		if f.path == "" {
			if optional := f.key == "ca" && !c.cfg.peers || c.cfg.client && c.cfg.Cert == c.cfg.Key; !optional { // both are empty
				faults = append(faults, fmt.Errorf("%s.%s: name a file in PEM", c.key, f.key))
			}
			continue
		}
		text, err := os.ReadFile(f.path)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s.%s: %w: name a file in PEM that this process may read", c.key, f.key, err))
		}
		k.texts[i] = text
	}
	if c.cfg.CA != "" && k.texts[2] != nil {
		k.roots = x509.NewCertPool()
		if !k.roots.AppendCertsFromPEM(k.texts[2]) {
			faults = append(faults, fmt.Errorf("%s.ca: %s has no certificate in PEM", c.key, c.cfg.CA))
		}
	}
	if k.texts[0] != nil && k.texts[1] != nil {
		var err error
		if k.cert, err = tls.X509KeyPair(k.texts[0], k.texts[1]); err != nil {
			faults = append(faults, fmt.Errorf("%s.cert %s and %s.key %s: %w: name a certificate and its own key", c.key, c.cfg.Cert, c.key, c.cfg.Key, err))
		}
	}
	if c.cfg.peers && len(faults) == 0 {
		faults = c.checkOwn(&k)
	}
	k.server = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: c.cfg.Protocols, Time: c.host.Clock.Now,
		Certificates: []tls.Certificate{k.cert}, ClientCAs: k.roots, ClientAuth: clientAuths[c.cfg.ClientAuth],
	}
	return &k, errors.Join(faults...)
}

// Server is what a listener serves with.
func (c *Certs) Server() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load().server, nil },
	}
}

// OpenClient reads the files of a client: what it shows, or nothing, and what those whom it connects to must show. Codes: Invalid.
func OpenClient(cfg Config, key string, h host.Host) (*Certs, error) {
	cfg.client = true
	return Open(cfg, key, h)
}

// Client shakes hands as a client with a host. conn is closed if that fails.
func (c *Certs) Client(ctx context.Context, conn net.Conn, host string) (net.Conn, error) {
	t := tls.Client(conn, c.clientConfig(host))
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // that it failed is the news
		return nil, fmt.Errorf("TLS with %s: %w", host, err)
	}
	return t, nil
}

// clientConfig is what a client of a host connects with. The host is not what ConnectionState calls the server's name, which is empty for addresses.
func (c *Certs) clientConfig(host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, ServerName: host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.current.Load().cert, nil },
		// It is verified below, against the roots of now, and a name may do that is not the host's.
		InsecureSkipVerify: true, //nolint:gosec // see the line above
		VerifyConnection:   func(s tls.ConnectionState) error { return c.verifyServer(s, host) },
	}
}

func (c *Certs) verifyServer(s tls.ConnectionState, host string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("it showed no certificate")
	}
	leaf := s.PeerCertificates[0]
	if err := c.verify(c.current.Load(), s.PeerCertificates, x509.ExtKeyUsageServerAuth); err != nil {
		return fmt.Errorf("its certificate for %s: %w", strings.Join(namesOf(leaf), ", "), err)
	}
	if named(leaf, c.cfg.names) {
		return nil
	}
	return leaf.VerifyHostname(host)
}

// Run follows the files until ctx ends, and complains of a certificate that ends soon.
func (c *Certs) Run(ctx context.Context) error {
	timer := c.host.Clock.NewTimer(followInterval)
	defer timer.Stop()
	for {
		c.checkExpiry()
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		c.follow()
		timer.Reset(followInterval)
	}
}

func (c *Certs) follow() {
	k, err := c.read()
	old := c.current.Load()
	switch {
	case err != nil: // perhaps one of two files was replaced so far
		if c.complaint != err.Error() {
			c.complaint = err.Error()
			c.metrics.unread.WithLabelValues(c.key).Inc()
			c.host.Log.Error("the certificate stays as it was", slog.Any(logkey.Err, err))
		}
		return
	case bytes.Equal(k.texts[0], old.texts[0]) && bytes.Equal(k.texts[1], old.texts[1]) && bytes.Equal(k.texts[2], old.texts[2]):
		c.complaint = ""
		return
	}
	c.complaint, c.complained = "", time.Time{}
	c.take(k)
	if k.cert.Leaf == nil {
		c.host.Log.Info("read another authority", slog.String(logkey.File, c.cfg.CA))
		return
	}
	c.host.Log.Info("read another certificate", slog.String(logkey.File, c.cfg.Cert), slog.Time(logkey.Until, k.cert.Leaf.NotAfter))
}

func (c *Certs) checkExpiry() {
	leaf, now := c.current.Load().cert.Leaf, c.host.Clock.Now()
	if leaf == nil || leaf.NotAfter.Sub(now) > expirySoon || !c.complained.IsZero() && now.Sub(c.complained) < expiryPause {
		return
	}
	c.complained = now
	c.host.Log.Warn("a certificate ends soon: replace its files, no restart is needed",
		slog.String(logkey.File, c.cfg.Cert), slog.Time(logkey.Until, leaf.NotAfter))
}

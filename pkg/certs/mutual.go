package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

// MutualConfig names files in PEM, and says who may connect with what.
type MutualConfig struct {
	Cert, Key, CA string
	Names         []string // of those who may connect, of which a certificate must have one; empty: whoever CA signed
	Strict        bool     // plain connections and those without a certificate are refused
}

// Mutual is TLS between daemons, where both sides show a certificate. nil stands for no TLS. It is safe for concurrent use.
type Mutual struct {
	*Certs
	strict    bool
	refusedAt atomic.Int64 // in Unix seconds, when the last refusal was logged
}

// refusalPause lies between two log lines about refused connections: who may not connect must not fill the disk.
const refusalPause = 10 * time.Second

// OpenMutual reads the files; key is the table of the configuration that names them. Codes: Invalid.
func OpenMutual(cfg MutualConfig, key string, h host.Host) (*Mutual, error) {
	c, err := Open(Config{Cert: cfg.Cert, Key: cfg.Key, CA: cfg.CA, ClientAuth: "optional", peers: true, names: cfg.Names}, key, h)
	if err != nil {
		return nil, err
	}
	return &Mutual{Certs: c, strict: cfg.Strict}, nil
}

// Strict tells whether plain connections are refused.
func (m *Mutual) Strict() bool { return m != nil && m.strict }

// checkOwn finds out at once what all others would say of this process's certificate.
func (c *Certs) checkOwn(k *keys) (faults []error) {
	leaf, now := k.cert.Leaf, c.host.Clock.Now()
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return []error{fmt.Errorf("%s.cert: %s is good from %s to %s and it is %s: issue another one", c.key, c.cfg.Cert,
			leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))}
	}
	for _, use := range []struct {
		usage x509.ExtKeyUsage
		text  string
	}{{x509.ExtKeyUsageServerAuth, "serverAuth"}, {x509.ExtKeyUsageClientAuth, "clientAuth"}} {
		if err := c.verify(k, chainOf(k.cert), use.usage); err != nil {
			return []error{fmt.Errorf("%s.cert: %s does not stand against %s.ca %s as %s: %w: issue it anew with this CA, for both uses", c.key, c.cfg.Cert, c.key, c.cfg.CA, use.text, err)}
		}
	}
	if len(c.cfg.names) > 0 && !named(leaf, c.cfg.names) {
		faults = append(faults, fmt.Errorf("%s.allowed-names: %s has none of these names itself, so that other daemons would refuse it: add one of %s", c.key, c.cfg.Cert, strings.Join(namesOf(leaf), ", ")))
	}
	return faults
}

func chainOf(cert tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{cert.Leaf}
	for _, der := range cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil { // the ones that it is no part of do not help either
			chain = append(chain, c)
		}
	}
	return chain
}

func (c *Certs) verify(k *keys, chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: k.roots, Intermediates: between, CurrentTime: c.host.Clock.Now(), KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// CheckHost complains if others would not take this process's certificate for a host that they are told. Codes: Invalid.
func (m *Mutual) CheckHost(host string) error {
	if m == nil {
		return nil
	}
	leaf := m.current.Load().cert.Leaf
	if named(leaf, m.cfg.names) || leaf.VerifyHostname(host) == nil {
		return nil
	}
	return errs.Newf(errs.Invalid, "%s.cert: %s is for %s, and others are told that this process is at %s: issue it for that, set advertised-host, or have a name of it in %s.allowed-names",
		m.key, m.cfg.Cert, strings.Join(namesOf(leaf), ", "), host, m.key)
}

// SharedName is for those who look for the name of a host in the certificates of others, as etcd does: "" where this process's own is for
// its host, and else the allowed name that it has instead, as all the others will.
func (m *Mutual) SharedName(host string) string {
	leaf := m.current.Load().cert.Leaf
	if leaf.VerifyHostname(host) == nil {
		return ""
	}
	for _, n := range m.cfg.names {
		if leaf.VerifyHostname(n) == nil {
			return n
		}
	}
	return ""
}

// serverConfig asks for a certificate, which an HTTP client may leave out: the listener decides what it gets then. gRPC, which
// speaks HTTP/2 alone, and whoever comes to a port that is only for daemons, is told in the handshake that it must have one.
func (m *Mutual) serverConfig(onlyDaemons bool) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := m.current.Load().server.Clone()
		c.SessionTicketsDisabled = true // each connection shows its certificate
		c.NextProtos = []string{"http/1.1"}
		grpc := slices.Equal(hello.SupportedProtos, []string{"h2"})
		if grpc {
			c.NextProtos = []string{"h2"}
		}
		if m.strict && (grpc || onlyDaemons) {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.VerifiedChains) == 0 || len(m.cfg.names) == 0 || named(s.VerifiedChains[0][0], m.cfg.names) {
				return nil
			}
			return fmt.Errorf("none of its names %s is in %s.allowed-names", strings.Join(namesOf(s.VerifiedChains[0][0]), ", "), m.key)
		}
		return c, nil
	}}
}

// named tells whether a certificate has one of the names, of which those that begin with *. stand for one label more.
func named(c *x509.Certificate, names []string) bool {
	for _, have := range namesOf(c) {
		for _, want := range names {
			if strings.EqualFold(have, want) {
				return true
			}
			_, domain, cut := strings.Cut(have, ".")
			if rest, ok := strings.CutPrefix(want, "*."); ok && cut && strings.EqualFold(domain, rest) {
				return true
			}
		}
	}
	return false
}

// namesOf are the names in a certificate: those of hosts, URIs, addresses, and the common name of the subject.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if cn := c.Subject.CommonName; cn != "" && !slices.Contains(names, cn) {
		names = append(names, cn)
	}
	return names
}

// refuse counts a connection that is not to be, and logs it now and then.
func (m *Mutual) refuse(from net.Addr, reason string, err error) {
	m.metrics.refused.WithLabelValues(reason).Inc()
	now, last := m.host.Clock.Now().Unix(), m.refusedAt.Load()
	if last != 0 && now-last < int64(refusalPause/time.Second) || !m.refusedAt.CompareAndSwap(last, now) {
		return
	}
	m.host.Log.Warn("refused a connection, perhaps one of many", slog.String(logkey.Peer, from.String()), slog.Any(logkey.Err, err))
}

// Package certs keeps the certificates of a listener, a client or a daemon.
//
// Its files may be replaced while the process runs: connections that begin later use the new one. Files that cannot
// be read or do not fit each other leave the former in force.
//
//	c, err := certs.Open(certs.Config{Cert: "tls.crt", Key: "tls.key", Protocols: protocols}, "ingress.tls", h) // a lifecycle.Part, which follows the files
//	ln = tls.NewListener(ln, c.Server())
//
// Between daemons both sides show one (Mutual): a listener tells TLS from anything else by the first byte, so that a cluster can be moved while it runs.
//
//	m, err := certs.OpenMutual(certs.MutualConfig{Cert: "tls.crt", Key: "tls.key", CA: "ca.crt", Strict: true}, "networking.tls", h)
//	ln = m.Listener(ln, false) // its connections are *certs.Conn, which have a Standing
package certs

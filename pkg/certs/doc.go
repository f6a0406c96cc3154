// Package certs keeps the certificate of a listener.
//
// Its files may be replaced while the process runs: connections that begin later use the new one. Files that cannot
// be read or do not fit each other leave the former in force.
//
//	c, err := certs.Open(certs.Config{Cert: "tls.crt", Key: "tls.key", Protocols: protocols}, "ingress.tls", h) // a lifecycle.Part, which follows the files
//	ln = tls.NewListener(ln, c.Server())
package certs

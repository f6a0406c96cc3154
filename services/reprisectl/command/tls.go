package command

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
)

// tlsFlags are about connections to nodes with networking.tls.
func tlsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tls-ca", EnvVars: []string{"RESTATECTL_TLS_CA"}, Usage: "`FILE` in PEM with what the certificates of nodes are signed with; default: what the system trusts"},
		&cli.StringFlag{Name: "tls-cert", EnvVars: []string{"RESTATECTL_TLS_CERT"}, Usage: "`FILE` in PEM with the certificate to show"},
		&cli.StringFlag{Name: "tls-key", EnvVars: []string{"RESTATECTL_TLS_KEY"}, Usage: "`FILE` in PEM with its private key"},
		&cli.StringFlag{Name: "tls-server-name", EnvVars: []string{"RESTATECTL_TLS_SERVER_NAME"}, Usage: "`NAME` in the certificates of nodes; default: the host that is connected to"},
		&cli.BoolFlag{Name: "insecure-skip-tls-verify", Usage: "trust any certificate of nodes"},
	}
}

// tlsConfig is what the flags say. All faults are reported at once.
func tlsConfig(c *cli.Context) (*tls.Config, error) {
	out := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.String("tls-server-name"),
		InsecureSkipVerify: c.Bool("insecure-skip-tls-verify"), //nolint:gosec // asked for by a flag of that name
	}
	var faults []error
	if path := c.String("tls-ca"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("--tls-ca: %w", err))
		}
		out.RootCAs = x509.NewCertPool()
		if err == nil && !out.RootCAs.AppendCertsFromPEM(text) {
			faults = append(faults, fmt.Errorf("--tls-ca: %s has no certificate in PEM", path))
		}
	}
	switch cert, key := c.String("tls-cert"), c.String("tls-key"); {
	case cert == "" && key == "":
	case cert == "" || key == "":
		faults = append(faults, argv.Usagef("--tls-cert and --tls-key: give both or neither"))
	default:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			faults = append(faults, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", cert, key, err))
		}
		// It is shown whatever authorities the node names: its refusal says more than that there is none.
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return out, errors.Join(faults...)
}

// known is the address of a node that another one told of. Who gives no certificates and no https speaks plainly to all, as long as nodes let
// that be (networking.tls.mode optional).
func known(c *cli.Context, address string) string {
	given := slices.ContainsFunc([]string{"tls-ca", "tls-cert", "tls-key", "tls-server-name", "insecure-skip-tls-verify"}, c.IsSet)
	if given || strings.Contains(c.String("address"), "https://") {
		return normal(address)
	}
	return strings.TrimPrefix(normal(address), "https://")
}

// httpClient asks nodes over HTTP.
func httpClient(c *cli.Context) (*http.Client, error) {
	t, err := tlsConfig(c)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: t, DisableKeepAlives: true}}, nil
}

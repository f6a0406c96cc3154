package door

import (
	"errors"

	"reprise/pkg/access"
	"reprise/pkg/certs"
	"reprise/pkg/config"
	"reprise/pkg/host"
)

// Open reads the files that the section with this prefix, such as "admin.", names; nil stands for what is off. All faults are reported at once.
func Open(prefix string, t config.TLS, tokensFile string, h host.Host) (c *certs.Certs, tokens *access.Tokens, err error) {
	if t.On() {
		c, err = certs.Open(certs.Config{
			Cert: t.Cert, Key: t.Key, CA: t.CA, ClientAuth: t.ClientAuth, Protocols: []string{"h2", "http/1.1"},
		}, prefix+"tls", h)
	}
	if tokensFile != "" {
		var errTokens error
		tokens, errTokens = access.Open(tokensFile, prefix+"tokens-file", h)
		err = errors.Join(err, errTokens)
	}
	return c, tokens, err
}

package invoker

import (
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/identity"
)

// testKey is the vector of the contract; never a production key.
const testKey = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIItTyHZG0QLlNGvCx6T3Q1CCrHPDJD23nnFlLlRx2jml
-----END PRIVATE KEY-----
`

func TestRequestsAreSigned(t *testing.T) {
	for _, http1 := range []bool{false, true} {
		l := newLoop(t, endpoint(t, func(p *peer) {
			output(p, p.Request.Header.Get(identity.HeaderScheme)+" "+p.Request.Header.Get(identity.HeaderToken))
		}, false)+"/base", func(l *loop, d *storedv1.Deployment) {
			d.Http1 = http1
			l.cfg.Identity = must(identity.NewSigner([]byte(testKey), time.Minute, l.clock))
		})
		l.wantValue(l.invoke(service("h"), ""), "v1 "+l.cfg.Identity.Token("/invoke/S/h", ""))
		l.wantValue(l.invoke(object("h", "k y"), ""), "v1 "+l.cfg.Identity.Token("/invoke/O/h", "k y"))
		l.wantNothingHeld()
	}
}

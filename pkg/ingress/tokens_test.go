package ingress_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/pkg/access"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/ingress"
)

const secretHead = " HTTP/1.1\r\nhost: x\r\nauthorization: Bearer "

// Where callers need tokens, a stranger learns that the ingress lives, and is refused before its body is read;
// handlers do not see tokens.
func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	text := fmt.Sprintf("%x caller shop\n%x admin ops\n", sha256.Sum256([]byte("s3cret")), sha256.Sum256([]byte("root")))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := access.Open(path, "ingress.tokens-file", hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		t.Fatal(err)
	}
	fronts(t, func(t *testing.T, cfg ingress.Config) {
		s := startServerOf(t, cfg, tokens)
		for _, row := range []struct {
			name, request string
			status        int
			body          string
		}{
			{"token", "POST /Greeter/Greet" + secretHead + "s3cret\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n\"x\"", 200, `"x"`},
			{"health with a token", "GET /restate/health" + secretHead + "s3cret\r\n\r\n", 200, `{"services":["Counter","Greeter","Hidden","Old","Wf"]}`},
			{"health", "GET /restate/health" + head + "\r\n", 200, `{"services":[]}`},
			{"preflight", "OPTIONS /Greeter/Greet" + head + "origin: y\r\naccess-control-request-method: POST\r\n\r\n", 200, ""},
			{"wrong token", "POST /Greeter/Greet" + secretHead + "guess\r\ncontent-length: 0\r\n\r\n", 401, "Bearer"},
			{"token of another role", "POST /Greeter/Greet" + secretHead + "root\r\ncontent-length: 0\r\n\r\n", 401, "Bearer"},
			{"no token", "GET /Nothing/here" + head + "\r\n", 401, "Bearer"},
			{"a body that never comes", "POST /Greeter/Greet" + head + "content-length: 30000000\r\n\r\nxyz", 401, "Bearer"},
			{"a body without a length", "POST /Greeter/Greet" + head + "transfer-encoding: chunked\r\n\r\n", 401, "Bearer"},
		} {
			c := s.dial(t)
			c.send(row.request)
			resp, body := c.answer()
			if resp.StatusCode != row.status || row.status == 200 && body != row.body || !strings.Contains(body, row.body) {
				t.Errorf("%s: %d %s", row.name, resp.StatusCode, body)
			}
			if row.status == 401 {
				if resp.Header.Get("Www-Authenticate") != "Bearer" || !resp.Close {
					t.Errorf("%s: %v", row.name, resp.Header)
				}
				c.ended()
			}
		}
		for _, r := range s.c.records {
			for _, h := range s.c.invocations[r.ID].input.GetHeaders() {
				if strings.EqualFold(h.GetKey(), "authorization") {
					t.Errorf("the handler sees %s", h.GetKey())
				}
			}
		}
		if page := s.page(); !strings.Contains(page, `restate_ingress_requests_total{rpc_service="",rpc_type="",status="unauthorized"} 5`) {
			t.Error(page)
		}
	})
}

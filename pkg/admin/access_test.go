package admin_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/pkg/access"
	"reprise/pkg/admin"
	"reprise/pkg/host/hosttest"
)

// Each role may do what it says; who may not is refused before the body is read.
func TestRoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	var text strings.Builder
	for _, role := range []string{"caller", "viewer", "operator", "admin"} {
		fmt.Fprintf(&text, "%x %s the-%s\n", sha256.Sum256([]byte(role+"-token")), role, role)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := access.Open(path, "admin.tokens-file", hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, func(c *admin.Config) { c.Tokens = tokens })
	const nobody, viewer, operator, admins = "", "viewer", "operator", "admin"
	order := []string{nobody, "caller", viewer, operator, admins}
	for _, row := range []struct{ request, needs string }{
		{"GET /health", nobody},
		{"GET /ui/", nobody},
		{"OPTIONS /deployments", nobody},
		{"GET /version", viewer},
		{"GET /deployments", viewer},
		{"GET /v3/deployments", viewer},
		{"HEAD /services", viewer},
		{"GET /nowhere", viewer},
		{"POST /query", viewer},
		{"PATCH /invocations/inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y/cancel", operator},
		{"PATCH /v2/invocations/x/kill", operator},
		{"DELETE /invocations/x", operator},
		{"POST /internal/invocations_batch_operations/kill", operator},
		{"POST /services/Counter/state", operator},
		{"POST /deployments", admins},
		{"PUT /v2/deployments/x", admins},
		{"DELETE /deployments/x", admins},
		{"PATCH /services/Counter", admins},
		{"POST /subscriptions", admins},
		{"PUT /limits/rules", admins},
	} {
		for i, role := range order {
			want := 0 // not refused
			if i < 2 && row.needs != nobody {
				want = http.StatusUnauthorized
			} else if i < indexOf(order, row.needs) {
				want = http.StatusForbidden
			}
			if got := refusal(t, a, row.request, role); got != want {
				t.Errorf("%s as %q: %d, want %d", row.request, role, got, want)
			}
		}
	}
}

func indexOf(all []string, x string) int {
	for i := range all {
		if all[i] == x {
			return i
		}
	}
	return -1
}

// refusal sends a request whose body never comes, and returns the status if it is refused for its token.
func refusal(t *testing.T, a *api, request, role string) int {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	length := "content-length: 0\r\n"
	if role == "" && method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions {
		length = "content-length: 1000000\r\n"
	}
	auth := ""
	if role != "" {
		auth = "authorization: Bearer " + role + "-token\r\n"
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n%s%s\r\n", method, path, auth, length); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(request, err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		if resp.Header.Get("Www-Authenticate") != "Bearer" || !resp.Close {
			t.Errorf("%s: %v", request, resp.Header)
		}
		return resp.StatusCode
	case http.StatusForbidden:
		return resp.StatusCode
	}
	return 0
}

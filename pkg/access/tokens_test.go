package access_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/pkg/access"
	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/lifecycle"
)

func line(token, role, name string) string {
	digest := sha256.Sum256([]byte(token))
	return hex.EncodeToString(digest[:]) + " " + role + " " + name + "\n"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBearer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, "# who may\n\n"+line("s3cret", "operator", "ops")+line("key", "caller", "shop"))
	tokens, err := access.Open(path, "admin.tokens-file", hosttest.New(hosttest.NewClock(), 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		header, name string
		role         access.Role
	}{
		{"Bearer s3cret", "ops", access.Operator},
		{"bearer  s3cret ", "ops", access.Operator},
		{"Bearer key", "shop", access.Caller},
		{"Bearer s3cre", "", access.Nobody},
		{"Bearer ", "", access.Nobody},
		{"Bearer", "", access.Nobody},
		{"", "", access.Nobody},
		{"Basic s3cret", "", access.Nobody},
		{"s3cret", "", access.Nobody},
		{"Bearer " + strings.Repeat("x", 1<<20), "", access.Nobody},
	} {
		if name, role := tokens.Bearer(row.header); name != row.name || role != row.role {
			t.Errorf("%.20q: %q %s", row.header, name, role)
		}
	}
}

func TestWrongFiles(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", "no token"},
		{"# none\n", "no token"},
		{"abc admin me\n", "line 1: the digest of a token is SHA-256 in 64"},
		{strings.Repeat("g", 64) + " admin me\n", "line 1: the digest is not hexadecimal"},
		{line("a", "root", "me"), `line 1: role "root" is none of caller, viewer, operator, admin`},
		{line("a", "admin", ""), "line 1: write digest, role and name"},
		{line("a", "admin", "one") + line("a", "viewer", "two"), `line 2: the token of "two" is that of "one"`},
		{line("a", "root", "me") + "x\n", "line 2: write digest"},
		{strings.Repeat("#", 2<<20), "may have 1048576"},
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		write(t, path, row.text)
		_, err := access.Open(path, "admin.tokens-file", hosttest.New(hosttest.NewClock(), 1))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "admin.tokens-file") {
			t.Errorf("%.30q: %v", row.text, err)
		}
	}
	_, err := access.Open(filepath.Join(t.TempDir(), "none"), "admin.tokens-file", hosttest.New(hosttest.NewClock(), 1))
	if !errs.Is(err, errs.Invalid) || !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// The file may change; a wrong one leaves the former tokens.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, line("old", "admin", "me"))
	clock := hosttest.NewClock()
	tokens, err := access.Open(path, "admin.tokens-file", hosttest.New(clock, 1))
	if err != nil {
		t.Fatal(err)
	}
	g := lifecycle.NewGroup(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	g.Go("follow", func(context.Context) error { return tokens.Run(ctx) })
	look := func() {
		clock.Await(1)
		clock.Advance(2 * time.Second)
		clock.Await(1)
	}
	for _, row := range []struct {
		text string
		good string
		bad  string
	}{
		{line("new", "admin", "me"), "new", "old"},
		{"garbage\n", "new", "garbage"},
		{line("newer", "viewer", "me"), "newer", "new"},
	} {
		write(t, path, row.text)
		look()
		if _, role := tokens.Bearer("Bearer " + row.good); role == access.Nobody {
			t.Errorf("%q is not known after %q", row.good, row.text)
		}
		if _, role := tokens.Bearer("Bearer " + row.bad); role != access.Nobody {
			t.Errorf("%q is known after %q", row.bad, row.text)
		}
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

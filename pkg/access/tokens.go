package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

// Role is what a token allows. Each of those of the admin API includes the one before it.
type Role uint8

const (
	Nobody   Role = iota
	Caller        // invokes handlers, and nothing else
	Viewer        // reads, with SQL too
	Operator      // ends, pauses and resumes invocations, and changes state
	Admin         // registers and changes deployments and services
)

var roles = map[string]Role{"caller": Caller, "viewer": Viewer, "operator": Operator, "admin": Admin}

// String is the word in the file.
func (r Role) String() string {
	for word, role := range roles {
		if role == r {
			return word
		}
	}
	return "nobody"
}

const (
	// followInterval is how often the file is looked at.
	followInterval = 2 * time.Second
	// fileBytesMax bounds the file, and so the number of tokens: some 10,000.
	fileBytesMax = 1 << 20
	// tokenBytesMax is longer than any token.
	tokenBytesMax = 4 << 10
)

// Tokens are those of a file. It is safe for concurrent use.
type Tokens struct {
	path, key string
	host      host.Host
	text      []byte // of the file; of Run alone once it runs
	complaint string // that was logged last, likewise
	known     atomic.Pointer[map[[sha256.Size]byte]grant]
}

type grant struct {
	name string
	role Role
}

var _ lifecycle.Part = (*Tokens)(nil)

// Open reads the file that the configuration names with key. Codes: Invalid.
func Open(path, key string, h host.Host) (*Tokens, error) {
	t := &Tokens{path: path, key: key, host: h}
	text, known, err := t.read()
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	t.text = text
	t.known.Store(&known)
	return t, nil
}

func (t *Tokens) read() ([]byte, map[[sha256.Size]byte]grant, error) {
	text, err := os.ReadFile(t.path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.key, err)
	}
	known, err := parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s: %w", t.key, t.path, err)
	}
	return text, known, nil
}

// parse reports all faults at once.
func parse(text []byte) (map[[sha256.Size]byte]grant, error) {
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("it has %d bytes, and may have %d", len(text), fileBytesMax)
	}
	known := map[[sha256.Size]byte]grant{}
	var faults []error
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 3 {
			faults = append(faults, fmt.Errorf("line %d: write digest, role and name", n))
			continue
		}
		var digest [sha256.Size]byte
		if len(words[0]) != hex.EncodedLen(sha256.Size) {
			faults = append(faults, fmt.Errorf("line %d: the digest of a token is SHA-256 in %d hexadecimal digits, as `printf %%s \"$TOKEN\" | sha256sum` prints it", n, hex.EncodedLen(sha256.Size)))
			continue
		}
		if _, err := hex.Decode(digest[:], []byte(words[0])); err != nil {
			faults = append(faults, fmt.Errorf("line %d: the digest is not hexadecimal: %w", n, err))
			continue
		}
		role, ok := roles[words[1]]
		if !ok {
			faults = append(faults, fmt.Errorf("line %d: role %q is none of caller, viewer, operator, admin", n, words[1]))
			continue
		}
		if other, twice := known[digest]; twice {
			faults = append(faults, fmt.Errorf("line %d: the token of %q is that of %q", n, words[2], other.name))
			continue
		}
		known[digest] = grant{name: words[2], role: role}
	}
	if len(known) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("it has no token, so nobody could enter"))
	}
	return known, errors.Join(faults...)
}

// Run follows the file until ctx ends.
func (t *Tokens) Run(ctx context.Context) error {
	timer := t.host.Clock.NewTimer(followInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		}
		t.follow()
		timer.Reset(followInterval)
	}
}

func (t *Tokens) follow() {
	text, known, err := t.read()
	switch {
	case err != nil:
		if t.complaint != err.Error() {
			t.complaint = err.Error()
			t.host.Log.Error("the tokens stay as they were", slog.Any(logkey.Err, err))
		}
		return
	case bytes.Equal(text, t.text):
		t.complaint = ""
		return
	}
	t.text, t.complaint = text, ""
	t.known.Store(&known)
	t.host.Log.Info("read other tokens", slog.String(logkey.File, t.path), slog.Int(logkey.Count, len(known)))
}

// Bearer returns who shows a token in the header authorization: "Bearer <token>". Nobody if it is not known.
// The time it takes tells nothing of other tokens, for their digests are compared.
func (t *Tokens) Bearer(authorization string) (name string, role Role) {
	const scheme = "bearer "
	if len(authorization) <= len(scheme) || len(authorization) > tokenBytesMax || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return "", Nobody
	}
	g := (*t.known.Load())[sha256.Sum256([]byte(strings.TrimSpace(authorization[len(scheme):])))]
	return g.name, g.role
}

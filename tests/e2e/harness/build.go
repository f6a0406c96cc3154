package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root is the top folder of the tree.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.work above the working folder")
		}
		dir = up
	}
}

// Binaries are the programs under test.
type Binaries struct {
	Dir        string
	Standalone string // path of another program to run in place of reprise-standalone; empty: the one of the tree
}

// Build compiles services/* of the tree, and the runner of the conformance suite, into dir. tags are further build tags.
func Build(ctx context.Context, dir string, tags ...string) (*Binaries, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	services, err := filepath.Glob(filepath.Join(root, "services", "*", "main.go"))
	if err != nil {
		return nil, err
	}
	roles := make([]string, len(services))
	// One command, since the linker is what takes time; without what only debuggers read.
	args := []string{"build", "-tags=" + strings.Join(append(tags, "duckdb_arrow"), ","), "-ldflags=-w", "-o", dir + string(filepath.Separator), "./tests/conformance/cmd/conformance"}
	for i, main := range services {
		roles[i] = filepath.Base(filepath.Dir(main))
		args = append(args, "./services/"+roles[i])
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir = root
	if text, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, text)
	}
	for _, role := range roles {
		if strings.HasPrefix(role, "reprise") {
			continue // a command line: its name is the folder's
		}
		if err := os.Rename(filepath.Join(dir, role), filepath.Join(dir, "reprise-"+role)); err != nil {
			return nil, err
		}
	}
	return &Binaries{Dir: dir}, nil
}

// ErrNoCommit says that the repository does not have a commit: a shallow clone.
var ErrNoCommit = errors.New("the repository does not have the commit: fetch its whole history")

// BuildAt compiles programs of services/* as they were at a commit, into dir.
func BuildAt(ctx context.Context, commit, dir string, roles ...string) (_ *Binaries, err error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	run := func(in, name string, args ...string) error {
		c := exec.CommandContext(ctx, name, args...)
		c.Dir = in
		c.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=")
		if text, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text)
		}
		return nil
	}
	if run(root, "git", "cat-file", "-e", commit+"^{commit}") != nil {
		return nil, ErrNoCommit
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	tree := filepath.Join(dir, "tree")
	if err := run(root, "git", "worktree", "add", "--detach", tree, commit); err != nil {
		return nil, err
	}
	defer func() {
		if rerr := run(root, "git", "worktree", "remove", "--force", tree); err == nil {
			err = rerr
		}
	}()
	args := []string{"build", "-ldflags=-w", "-o", dir + string(filepath.Separator)}
	for _, role := range roles {
		args = append(args, "./services/"+role)
	}
	if err := run(tree, "go", args...); err != nil {
		return nil, err
	}
	for _, role := range roles {
		if err := os.Rename(filepath.Join(dir, role), filepath.Join(dir, "reprise-"+role)); err != nil {
			return nil, err
		}
	}
	return &Binaries{Dir: dir}, nil
}

// Path is where the program of that name is.
func (b *Binaries) Path(name string) string {
	if name == "reprise-standalone" && b.Standalone != "" {
		return b.Standalone
	}
	return filepath.Join(b.Dir, name)
}

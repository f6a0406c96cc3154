package harness

import (
	"context"
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

// Path is where the program of that name is.
func (b *Binaries) Path(name string) string {
	if name == "reprise-standalone" && b.Standalone != "" {
		return b.Standalone
	}
	return filepath.Join(b.Dir, name)
}

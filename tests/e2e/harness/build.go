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

// Build compiles services/* of the tree, and the runner of the conformance suite, into dir.
func Build(ctx context.Context, dir string) (*Binaries, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	services, err := filepath.Glob(filepath.Join(root, "services", "*", "main.go"))
	if err != nil {
		return nil, err
	}
	for _, main := range services {
		role := filepath.Base(filepath.Dir(main))
		name := "reprise-" + role
		if strings.HasPrefix(role, "reprise") {
			name = role
		}
		if err := compile(ctx, root, filepath.Join(dir, name), "./services/"+role); err != nil {
			return nil, err
		}
	}
	b := &Binaries{Dir: dir}
	return b, compile(ctx, root, b.Path("conformance"), "./tests/conformance/cmd/conformance")
}

func compile(ctx context.Context, root, out, pkg string) error {
	c := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	c.Dir = root
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// Path is where the program of that name is.
func (b *Binaries) Path(name string) string {
	if name == "reprise-standalone" && b.Standalone != "" {
		return b.Standalone
	}
	return filepath.Join(b.Dir, name)
}

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// editor is the program that the user edits with, with its arguments.
func (r *runner) editor() []string {
	for _, name := range []string{"RESTATE_EDITOR", "VISUAL", "EDITOR"} {
		if v := strings.Fields(r.vars.get(name)); len(v) > 0 {
			return v
		}
	}
	return []string{"vi"}
}

// edit lets the user change a text; name is that of the file, which tells the editor its kind.
func (r *runner) edit(ctx context.Context, name, text string) (_ string, err error) {
	dir, err := os.MkdirTemp("", "reprise-edit-")
	if err != nil {
		return "", fmt.Errorf("file to edit: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("file to edit: %w", err)
	}
	if err := r.editFile(ctx, file); err != nil {
		return "", err
	}
	b, err := os.ReadFile(file) //nolint:gosec // written above
	if err != nil {
		return "", fmt.Errorf("edited file: %w", err)
	}
	return string(b), nil
}

// editFile runs the editor on a file.
func (r *runner) editFile(ctx context.Context, file string) error {
	words := append(r.editor(), file)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the user's choice
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.env.In, r.env.Out, r.env.Err
	if err := cmd.Run(); err != nil {
		return hint(fmt.Errorf("editor %q: %w", strings.Join(words, " "), err), "RESTATE_EDITOR, VISUAL and EDITOR name the editor.")
	}
	return nil
}

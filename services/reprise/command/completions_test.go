package command_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func script(t *testing.T, w *world, shell string) string {
	t.Helper()
	out, errOut, code := w.command("completions generate " + shell)
	if code != 0 || errOut != "" || out == "" {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	return out
}

func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "reprise")
	if err := os.WriteFile(file, []byte(script(t, w, "bash")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ line, want, not string }{
		{"reprise dep", "deployments", "services"},
		{"reprise dp ", "register", "dev"},
		{"reprise dp add --fo", "--force", "register"},
		{"reprise -v services config ", "patch", "list"},
		{"reprise services conf", "config", "list"},
		{"reprise dp ls --ye", "--yes", "--extra"},
	} {
		words := strings.Split(row.line, " ")
		run := `. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _reprise; printf "%s\n" "${COMPREPLY[@]}"`
		out, err := exec.CommandContext(t.Context(), bash, append([]string{"-c", run, "bash", file}, words...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v, %s", row.line, err, out)
		}
		got := strings.Fields(string(out))
		if !contains(got, row.want) || contains(got, row.not) {
			t.Errorf("%q completes to %q, want %s and not %s", row.line, got, row.want, row.not)
		}
	}
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// Other shells may not be here: they at least parse the script if they are, and it names all there is.
func TestCompletionsOfShells(t *testing.T) {
	w := newWorld(t)
	for shell, check := range map[string][]string{"zsh": {"zsh", "-n"}, "fish": {"fish", "--no-execute"}, "elvish": nil, "powershell": nil} {
		text := script(t, w, shell)
		for _, part := range []string{"deployments", "register", "use-environment", "assume-role-arn", "locked-keys-limit"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %s", shell, part)
			}
		}
		if check == nil {
			continue
		}
		if _, err := exec.LookPath(check[0]); err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		file := filepath.Join(t.TempDir(), shell)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), check[0], check[1], file).CombinedOutput(); err != nil { //nolint:gosec // from the table above
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

func TestCompletionsInstall(t *testing.T) {
	w := newWorld(t)
	w.vars["HOME"] = t.TempDir()
	for shell, file := range map[string]string{
		"bash": ".local/share/bash-completion/completions/reprise", "zsh": ".zfunc/_reprise", "fish": ".config/fish/completions/reprise.fish",
	} {
		w.vars["SHELL"] = "/bin/" + shell
		out, errOut, code := w.command("completions install")
		if code != 0 || !strings.Contains(out, shell+" completions installed to: ") {
			t.Errorf("exit %d: %s%s", code, out, errOut)
		}
		b, err := os.ReadFile(filepath.Join(w.vars["HOME"], file))
		if err != nil || string(b) != script(t, w, shell) {
			t.Errorf("%s: %v, %d bytes", shell, err, len(b))
		}
	}
}

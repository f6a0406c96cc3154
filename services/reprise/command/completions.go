package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
)

// shells are those that a script can be made for.
var shells = map[string]shell{
	"bash": {bashScript, ".local/share/bash-completion/completions/reprise", ""},
	"elvish": {elvishScript, ".config/elvish/lib/reprise-completions.elv",
		"Add this line to ~/.config/elvish/rc.elv: use reprise-completions"},
	"fish": {fishScript, ".config/fish/completions/reprise.fish", ""},
	"powershell": {powershellScript, ".config/powershell/reprise-completions.ps1",
		"Add this line to your profile: . ~/.config/powershell/reprise-completions.ps1"},
	"zsh": {zshScript, ".zfunc/_reprise",
		"Add these lines to ~/.zshrc, unless they are there: fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit"},
}

type shell struct {
	script func([]place) string
	file   string // below the user's home
	hint   string // what else is to do
}

// place is a command with what may follow it.
type place struct {
	path  string // from the program on, with names written out
	next  []word
	flags []word
}

// word is what a command line may go on with.
type word struct {
	names []string // a command's with its aliases, a flag's with their dashes
	usage string
}

func (r *runner) completions() *cli.Command {
	return &cli.Command{
		Name: "completions", Usage: "let a shell complete the command line",
		Subcommands: []*cli.Command{
			{Name: "generate", Usage: "print the script for a shell", ArgsUsage: "[bash|elvish|fish|powershell|zsh]", Action: r.completionsGenerate},
			{Name: "install", Usage: "put the script where a shell looks for it", ArgsUsage: "[bash|elvish|fish|powershell|zsh]", Action: r.completionsInstall},
		},
	}
}

// shell is the one that an argument names, else the user's.
func (r *runner) shell(c *cli.Context) (shell, string, error) {
	if err := r.begin(c); err != nil {
		return shell{}, "", err
	}
	name := c.Args().First()
	if name == "" {
		name = filepath.Base(r.vars.get("SHELL"))
	}
	s, ok := shells[name]
	if !ok || c.NArg() > 1 {
		return shell{}, "", argv.Usagef("invalid value '%s' for '[SHELL]': bash, elvish, fish, powershell or zsh", strings.Join(c.Args().Slice(), " "))
	}
	return s, name, nil
}

func (r *runner) completionsGenerate(c *cli.Context) error {
	s, _, err := r.shell(c)
	if err != nil {
		return err
	}
	r.printf("%s", s.script(placesOf(c.App)))
	return nil
}

func (r *runner) completionsInstall(c *cli.Context) error {
	s, name, err := r.shell(c)
	if err != nil {
		return err
	}
	home := r.vars.get("HOME")
	if home == "" {
		return errors.New("no place for the script: set HOME, or use 'reprise completions generate'")
	}
	file := filepath.Join(home, s.file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as shells make it
		return fmt.Errorf("completions: %w", err)
	}
	if err := os.WriteFile(file, []byte(s.script(placesOf(c.App))), 0o644); err != nil { //nolint:gosec // nothing secret
		return fmt.Errorf("completions: %w", err)
	}
	r.ok("%s completions installed to: %s", name, file)
	if s.hint != "" {
		r.printf("%s\n", s.hint)
	}
	r.printf("A shell that already runs must be started again.\n")
	return nil
}

// placesOf walks the tree of commands.
func placesOf(app *cli.App) []place {
	root := place{path: app.Name, flags: flagWords(app.Flags)}
	out := []place{root}
	for _, c := range app.Commands {
		out[0].next = append(out[0].next, word{c.Names(), c.Usage})
		out = append(out, placesBelow(app.Name, c)...)
	}
	return out
}

func placesBelow(path string, c *cli.Command) []place {
	p := place{path: path + " " + c.Name, flags: flagWords(c.Flags)}
	var below []place
	for _, sub := range c.Subcommands {
		p.next = append(p.next, word{sub.Names(), sub.Usage})
		below = append(below, placesBelow(p.path, sub)...)
	}
	return append([]place{p}, below...)
}

func flagWords(flags []cli.Flag) []word {
	var out []word
	for _, f := range flags {
		if f == cli.HelpFlag {
			continue // the library adds it where it runs; words adds it everywhere
		}
		w := word{}
		for _, name := range f.Names() {
			if len(name) == 1 {
				w.names = append(w.names, "-"+name)
			} else {
				w.names = append(w.names, "--"+name)
			}
		}
		if d, ok := f.(cli.DocGenerationFlag); ok {
			w.usage = strings.ReplaceAll(d.GetUsage(), "`", "")
		}
		out = append(out, w)
	}
	return out
}

// parent splits the path of a place into that of the command above it and its own name.
func (p place) parent() (above, name string) {
	i := strings.LastIndexByte(p.path, ' ')
	if i < 0 {
		return "", p.path
	}
	return p.path[:i], p.path[i+1:]
}

// words are the first names of what may follow, then flags; the flags of the program may stand anywhere.
func (p place) words(root place) []word {
	out := slices.Concat(p.next, p.flags)
	if p.path != root.path {
		out = append(out, root.flags...)
	}
	return append(out, word{[]string{"--help"}, "show help"})
}

// long is the name to complete to.
func (w word) long() string {
	for _, n := range w.names {
		if strings.HasPrefix(n, "--") {
			return n
		}
	}
	return w.names[0]
}

// namesIn are the names by which a place is reached from the one above it.
func namesIn(places []place, above, name string) []string {
	for _, p := range places {
		if p.path != above {
			continue
		}
		for _, w := range p.next {
			if w.names[0] == name {
				return w.names
			}
		}
	}
	return []string{name}
}

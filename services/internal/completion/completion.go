package completion

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
)

// shells are those that a script can be made for.
var shells = map[string]shell{
	"bash": {bashScript, ".local/share/bash-completion/completions/PROGRAM", ""},
	"elvish": {elvishScript, ".config/elvish/lib/PROGRAM-completions.elv",
		"Add this line to ~/.config/elvish/rc.elv: use PROGRAM-completions"},
	"fish": {fishScript, ".config/fish/completions/PROGRAM.fish", ""},
	"powershell": {powershellScript, ".config/powershell/PROGRAM-completions.ps1",
		"Add this line to your profile: . ~/.config/powershell/PROGRAM-completions.ps1"},
	"zsh": {zshScript, ".zfunc/_PROGRAM",
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

// User is whose shell it is.
type User struct {
	Out    io.Writer
	Lookup func(name string) string // environment variables
}

// Command is the command of a program that makes scripts and puts them in place. begin is called first.
func Command(begin func(*cli.Context) (User, error)) *cli.Command {
	with := func(do func(User, *cli.Context) error) cli.ActionFunc {
		return func(c *cli.Context) error {
			u, err := begin(c)
			if err != nil {
				return err
			}
			return do(u, c)
		}
	}
	return &cli.Command{
		Name: "completions", Usage: "let a shell complete the command line",
		Subcommands: []*cli.Command{
			{Name: "generate", Usage: "print the script for a shell", ArgsUsage: "[bash|elvish|fish|powershell|zsh]", Action: with(User.generate)},
			{Name: "install", Usage: "put the script where a shell looks for it", ArgsUsage: "[bash|elvish|fish|powershell|zsh]", Action: with(User.install)},
		},
	}
}

// shell is the one that an argument names, else the user's.
func (u User) shell(c *cli.Context) (shell, string, error) {
	name := c.Args().First()
	if name == "" {
		name = filepath.Base(u.Lookup("SHELL"))
	}
	s, ok := shells[name]
	if !ok || c.NArg() > 1 {
		return shell{}, "", argv.Usagef("invalid value '%s' for '[SHELL]': bash, elvish, fish, powershell or zsh", strings.Join(c.Args().Slice(), " "))
	}
	return s, name, nil
}

func (u User) generate(c *cli.Context) error {
	s, _, err := u.shell(c)
	if err != nil {
		return err
	}
	_, err = io.WriteString(u.Out, s.script(placesOf(c.App)))
	return err
}

func (u User) install(c *cli.Context) error {
	s, name, err := u.shell(c)
	if err != nil {
		return err
	}
	places := placesOf(c.App)
	home := u.Lookup("HOME")
	if home == "" {
		return fmt.Errorf("no place for the script: set HOME, or use '%s completions generate'", c.App.Name)
	}
	file := filepath.Join(home, program(places, s.file))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as shells make it
		return fmt.Errorf("completions: %w", err)
	}
	if err := os.WriteFile(file, []byte(s.script(places)), 0o644); err != nil { //nolint:gosec // nothing secret
		return fmt.Errorf("completions: %w", err)
	}
	text := fmt.Sprintf("[OK]: %s completions installed to: %s\n", name, file)
	if s.hint != "" {
		text += program(places, s.hint) + "\n"
	}
	_, err = io.WriteString(u.Out, text+"A shell that already runs must be started again.\n")
	return err
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

package argv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Arrange returns args (without the program's name) with each command name written out, each flag behind the
// command that it belongs to and the arguments last. What it does not know it leaves to the library to refuse,
// but a command that does not exist or could be several is an error.
func Arrange(app *cli.App, args []string) ([]string, error) {
	a := arranger{levels: []level{{flags: app.Flags, commands: app.Commands}}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			a.args = append(a.args, args[i+1:]...)
			return a.result(), nil
		case len(arg) > 1 && arg[0] == '-':
			if a.takesNext(arg) && i+1 < len(args) {
				i++
				a.put(arg, args[i])
				continue
			}
			a.put(arg)
		default:
			if err := a.word(arg); err != nil {
				return nil, err
			}
		}
	}
	return a.result(), nil
}

// level is a command on the way down: the program, then a command, then a command of that.
type level struct {
	name     string
	flags    []cli.Flag
	commands []*cli.Command
	given    []string // flags as they were given, with their values
}

type arranger struct {
	levels []level // never empty
	args   []string
}

func (a *arranger) last() *level { return &a.levels[len(a.levels)-1] }

// word takes a command's name, or an argument.
func (a *arranger) word(arg string) error {
	l := a.last()
	if len(l.commands) == 0 || len(a.args) > 0 {
		a.args = append(a.args, arg)
		return nil
	}
	c, err := match(l.commands, arg)
	if err != nil {
		return err
	}
	a.levels = append(a.levels, level{name: c.Name, flags: c.Flags, commands: c.Subcommands})
	return nil
}

// match finds the command with a name, or the only one with names that begin so.
func match(commands []*cli.Command, word string) (*cli.Command, error) {
	var found []*cli.Command
	for _, c := range commands {
		if slices.Contains(c.Names(), word) {
			return c, nil
		}
		if slices.ContainsFunc(c.Names(), func(n string) bool { return strings.HasPrefix(n, word) }) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("unrecognized subcommand '%s'", word)
	}
	names := make([]string, len(found))
	for i, c := range found {
		names[i] = c.Name
	}
	return nil, fmt.Errorf("subcommand '%s' is ambiguous: %s", word, strings.Join(names, ", "))
}

// put gives a flag, and its value if that is a word of its own, to the innermost level that knows it.
func (a *arranger) put(words ...string) {
	for i := len(a.levels) - 1; i >= 0; i-- {
		if a.levels[i].knows(words[0]) {
			a.levels[i].given = append(a.levels[i].given, words...)
			return
		}
	}
	l := a.last() // unknown, or the library's own such as --help
	l.given = append(l.given, words...)
}

// takesNext tells whether the value of a flag is the next word.
func (a *arranger) takesNext(arg string) bool {
	if strings.Contains(arg, "=") {
		return false
	}
	for i := len(a.levels) - 1; i >= 0; i-- {
		if f := a.levels[i].find(flagName(arg)); f != nil {
			d, ok := f.(cli.DocGenerationFlag)
			return ok && d.TakesValue()
		}
	}
	return false
}

func (l *level) knows(arg string) bool {
	name := flagName(arg)
	if l.find(name) != nil {
		return true
	}
	if strings.HasPrefix(arg, "--") || len(name) < 2 {
		return false
	}
	for _, letter := range name { // -vv, -yq
		if l.find(string(letter)) == nil {
			return false
		}
	}
	return true
}

func (l *level) find(name string) cli.Flag {
	for _, f := range l.flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// flagName is the name in -n, --name and --name=value.
func flagName(arg string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return name
}

func (a *arranger) result() []string {
	var out []string
	for i, l := range a.levels {
		if i > 0 {
			out = append(out, l.name)
		}
		out = append(out, l.given...)
	}
	if slices.ContainsFunc(a.args, func(s string) bool { return len(s) > 1 && s[0] == '-' }) {
		out = append(out, "--")
	}
	return append(out, a.args...)
}

package argv_test

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
)

func app() *cli.App {
	return &cli.App{
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Count: new(int)},
			&cli.StringFlag{Name: "environment", Aliases: []string{"e"}},
		},
		Commands: []*cli.Command{
			{Name: "deployments", Aliases: []string{"dp"}, Subcommands: []*cli.Command{
				{Name: "list", Aliases: []string{"ls"}, Flags: []cli.Flag{&cli.BoolFlag{Name: "extra"}}},
				{Name: "register", Aliases: []string{"discover", "add"}, Flags: []cli.Flag{
					&cli.BoolFlag{Name: "force"}, &cli.StringSliceFlag{Name: "extra-header"},
				}},
				{Name: "remove", Aliases: []string{"rm"}},
				{Name: "describe", Aliases: []string{"get"}},
			}},
			{Name: "services", Aliases: []string{"svc"}, Subcommands: []*cli.Command{{Name: "status"}, {Name: "list"}}},
			{Name: "state", Aliases: []string{"kv"}, Subcommands: []*cli.Command{{Name: "get"}}},
			{Name: "sql", Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}, &cli.IntFlag{Name: "n"}}},
			{Name: "whoami"},
		},
	}
}

func TestArrange(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"", ""},
		{"whoami", "whoami"},
		{"who", "whoami"},
		{"deployment li", "deployments list"},
		{"dp reg URL -y", "-y deployments register URL"},
		{"dp register URL --force -y --extra-header a=b", "-y deployments register --force --extra-header a=b URL"},
		{"dp register --extra-header=a=b URL", "deployments register --extra-header=a=b URL"},
		{"dp add URL", "deployments register URL"},
		{"dp add URL -e prod", "-e prod deployments register URL"},
		{"-vv dp ls", "-vv deployments list"},
		{"dp ls -vy", "-vy deployments list"},
		{"sql Q --json", "sql --json Q"},
		{"sql -n 3 Q", "sql -n 3 Q"},
		{"sql Q -n", "sql -n Q"},
		{"sql -- -1 --json", "sql -- -1 --json"},
		{"dp ls --help", "deployments list --help"},
		{"dp --nope ls", "deployments --nope list"},
		{"sql svc", "sql svc"}, // an argument, not a command
		{"kv get A - B", "state get A - B"},
		{"dp rem", "deployments remove"},
		{"dp di", "deployments register"}, // a prefix of an alias
		{"se ls", "unrecognized subcommand 'ls'"},
		{"se list", "services list"},
		{"s", "subcommand 's' is ambiguous: services, state, sql"},
		{"dp re", "subcommand 're' is ambiguous: register, remove"},
		{"nope", "unrecognized subcommand 'nope'"},
	} {
		got, err := argv.Arrange(app(), strings.Fields(row.in))
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if text != row.want {
			t.Errorf("%q: got %q, want %q", row.in, text, row.want)
		}
	}
}

// A word that is exactly a name wins over longer names that begin with it.
func TestArrangeExactNameWins(t *testing.T) {
	a := &cli.App{Commands: []*cli.Command{{Name: "rules-old"}, {Name: "rules"}}}
	got, err := argv.Arrange(a, []string{"rules"})
	if err != nil || len(got) != 1 || got[0] != "rules" {
		t.Fatalf("%q, %v", got, err)
	}
}

package command

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"reprise/pkg/host"
	"reprise/services/internal/argv"
	"reprise/services/internal/completion"
	"reprise/services/internal/grid"
)

const version = "0.1.0"

// Env is what a run of the program may touch.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal bool                             // Out is one
	Lookup   func(name string) (string, bool) // environment variables
	Clock    host.Clock
	Programs string // folder of this program, where its siblings are
}

// Run runs the program with its arguments, without its own name, and returns its exit code.
func Run(ctx context.Context, args []string, env Env) int {
	r := &runner{env: env, in: bufio.NewReader(&input{ctx, env.In}), out: env.Out}
	return argv.Run(ctx, r.app(), args, env.Err)
}

// runner is one run of the program.
type runner struct {
	env      Env
	in       *bufio.Reader // what the user answers
	out      io.Writer     // Env.Out, or a page that is being made
	vars     lookup        // environment variables and .env
	settings settings
	client   *client
	yes      bool
	verbose  bool
	quiet    bool
	colours  bool
	style    grid.Style
	time     grid.TimeFormat
}

func (r *runner) app() *cli.App {
	commands := []*cli.Command{
		r.dev(),
		r.whoami(),
		r.services(),
		r.deployments(),
		r.invocationCommands(),
		r.state(),
		r.sql(),
		r.kafkaClusters(),
		r.subscriptions(),
		r.rules(),
		completion.Command(r.completing),
		r.config(),
	}
	prepare(commands)
	return &cli.App{
		Name:                   "reprise",
		Usage:                  "register and look at deployments and services of a Reprise server",
		HideVersion:            true, // the library's flag takes -v
		Writer:                 r.env.Out,
		ErrWriter:              r.env.Err,
		ExitErrHandler:         func(*cli.Context, error) {}, // Run decides
		OnUsageError:           argv.OnUsage,
		HideHelpCommand:        true,
		UseShortOptionHandling: true,
		// A value may have commas, such as that of bootstrap.servers.
		DisableSliceFlagSeparator: true,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show each request", Count: new(int)},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no warnings", Count: new(int)},
			&cli.StringFlag{Name: "table-style", Value: "compact", Usage: "`STYLE` of tables: compact or borders"},
			&cli.StringFlag{Name: "time-format", Value: "human", Usage: "`FORMAT` of times: human, iso8601 or rfc2822"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "answer every question with yes; implied when CI is set"},
			&cli.Int64Flag{Name: "connect-timeout", Value: 3000, Usage: "`MILLISECONDS` until a connection is open"},
			&cli.Int64Flag{Name: "request-timeout", Value: 13000, Usage: "`MILLISECONDS` until a request is answered"},
			&cli.BoolFlag{Name: "insecure-skip-tls-verify", Usage: "trust any certificate of the server"},
			&cli.StringFlag{Name: "environment", Aliases: []string{"e"}, Usage: "`NAME` of the environment in the configuration file"},
			&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version"},
		},
		Commands: commands,
		Action: orHelp(func(c *cli.Context) error {
			if c.Bool("version") {
				r.printf("reprise %s\n", version)
				return nil
			}
			return cli.ShowAppHelp(c)
		}),
	}
}

// prepare sets what all commands have in common.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = argv.OnUsage
		c.HideHelpCommand = true
		c.UseShortOptionHandling = true
		if len(c.Subcommands) > 0 {
			c.Action = orHelp(cli.ShowSubcommandHelp)
		}
		prepare(c.Subcommands)
	}
}

// orHelp shows help where a command lacks its subcommand.
func orHelp(show func(*cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return argv.Usagef("unrecognized subcommand '%s'", c.Args().First())
		}
		return show(c)
	}
}

// connect prepares a command that talks to the server: settings, flags, handshake.
func (r *runner) connect(c *cli.Context) error {
	if err := r.offline(c); err != nil {
		return err
	}
	r.client = newClient(r.settings, r.connection(c))
	return r.client.handshake(c.Context, r.warn)
}

func (r *runner) connection(c *cli.Context) connection {
	return connection{
		connect:  time.Duration(c.Int64("connect-timeout")) * time.Millisecond,
		request:  time.Duration(c.Int64("request-timeout")) * time.Millisecond,
		insecure: c.Bool("insecure-skip-tls-verify"),
		trace:    r.trace,
	}
}

// offline prepares a command without talking to the server.
func (r *runner) offline(c *cli.Context) (err error) {
	if err := r.begin(c); err != nil {
		return err
	}
	r.settings, err = loadSettings(r.vars, c.String("environment"))
	return err
}

// begin reads how to behave, but not which server to talk to.
func (r *runner) begin(c *cli.Context) (err error) {
	if r.vars, err = withDotEnv(r.env.Lookup, ".env"); err != nil {
		return err
	}
	r.verbose, r.quiet = c.Bool("verbose"), c.Bool("quiet")
	_, ci := r.vars("CI")
	r.yes = c.Bool("yes") || ci
	r.colours = r.env.Terminal && r.vars.get("NO_COLOR") == "" && r.vars.get("TERM") != "dumb"
	if r.style, err = grid.ParseStyle(c.String("table-style")); err != nil {
		return err
	}
	r.time, err = grid.ParseTimeFormat(c.String("time-format"))
	return err
}

func (r *runner) completing(c *cli.Context) (completion.User, error) {
	err := r.begin(c)
	return completion.User{Out: r.out, Lookup: func(name string) string { return r.vars.get(name) }}, err
}

// argument returns the only argument of a command.
func argument(c *cli.Context, name string) (string, error) {
	switch c.NArg() {
	case 1:
		return c.Args().First(), nil
	case 0:
		return "", argv.Usagef("the following required arguments were not provided:\n  <%s>", name)
	default:
		return "", argv.Usagef("unexpected argument '%s' found", c.Args().Get(1))
	}
}

func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return argv.Usagef("unexpected argument '%s' found", c.Args().First())
	}
	return nil
}

// confirm asks the user; -y and CI answer yes.
func (r *runner) confirm(question string) error {
	if r.yes {
		r.printf("%s Auto-confirming --yes is set.\n", question)
		return nil
	}
	r.printf("%s [y/N] ", question)
	line, err := r.in.ReadString('\n')
	switch answer := strings.ToLower(strings.TrimSpace(line)); {
	case answer == "y" || answer == "yes":
		return nil
	case errors.Is(err, context.Canceled):
		r.printf("\n")
		return errors.New("user aborted")
	case err != nil && answer == "":
		r.printf("\n")
		return errors.New("nobody answered; use --yes to confirm without a question")
	default:
		return errors.New("user aborted")
	}
}

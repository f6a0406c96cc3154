package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/completion"
	"reprise/services/internal/grid"
)

const (
	version        = "0.1.0"
	answerBytesMax = 1 << 20
)

// Env is what a run of the program may touch.
type Env struct {
	In       io.Reader // what the user answers; nil: nobody does
	Out, Err io.Writer
	Lookup   func(name string) string // environment variables, of completions; nil: none
}

// Run runs the program with its arguments, without its own name, and returns its exit code.
func Run(ctx context.Context, args []string, env Env) int {
	if env.In == nil {
		env.In = strings.NewReader("")
	}
	r := &runner{env: env, in: bufio.NewReader(env.In)}
	return argv.Run(ctx, r.app(), args, env.Err)
}

// runner is one run of the program.
type runner struct {
	env   Env
	in    *bufio.Reader
	style grid.Style
	time  grid.TimeFormat
	yes   bool
	json  bool
	quiet bool
	loud  bool
	done  []map[string]any // what was changed, for --json
}

func (r *runner) app() *cli.App {
	commands := []*cli.Command{
		r.provision(),
		r.status(),
		r.nodes(),
		r.partitions(),
		r.logs(),
		r.snapshots(),
		r.config(),
		r.metadata(),
		r.metadataServer(),
		r.loglet(),
		r.debug(),
		r.storage(),
		sqlCommand(r.env),
		completion.Command(r.completing),
		{
			Name: "health", Usage: "ask a node whether it is alive",
			Action: func(c *cli.Context) error { return health(c, r.env) },
		},
		{
			Name: "version", Usage: "print the version",
			Action: func(*cli.Context) error {
				_, err := fmt.Fprintf(r.env.Out, "reprisectl %s (%s/%s, %s)\n", version, runtime.GOOS, runtime.GOARCH, runtime.Version())
				return err
			},
		},
	}
	prepare(commands)
	return &cli.App{
		Name: "reprisectl", Usage: "operate a Reprise cluster",
		Writer: r.env.Out, ErrWriter: r.env.Err,
		ExitErrHandler:         func(*cli.Context, error) {}, // Run decides
		OnUsageError:           argv.OnUsage,
		HideHelpCommand:        true,
		HideVersion:            true, // version is a command
		UseShortOptionHandling: true,
		Flags: append([]cli.Flag{
			&cli.StringFlag{
				Name: "address", Aliases: []string{"s"}, Value: "http://localhost:5122", EnvVars: []string{"RESTATECTL_ADDRESS"},
				Usage: "`URLS` of the fabric ports of nodes, with commas: any daemon of the cluster will do",
			},
			&cli.BoolFlag{Name: "single-address", Aliases: []string{"S"}, Usage: "ask only the nodes of --address, not those that they know of"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show who is asked, and who does not answer"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show no warnings"},
			&cli.StringFlag{Name: "table-style", Value: "compact", Usage: "`STYLE` of tables: compact or borders"},
			&cli.StringFlag{Name: "time-format", Value: "human", Usage: "`FORMAT` of times: human, iso8601 or rfc2822"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "answer every question with yes"},
			&cli.Int64Flag{Name: "connect-timeout", Value: 3000, Usage: "`MILLISECONDS` until a node answers at all"},
			&cli.Int64Flag{Name: "request-timeout", Value: 13000, Usage: "`MILLISECONDS` until a request is answered"},
		}, tlsFlags()...),
		Commands: commands,
		Action:   orHelp(cli.ShowAppHelp),
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
		require(c)
		prepare(c.Subcommands)
	}
}

// require has a command without a flag that it needs be a wrong command line, which to the library is an error like any other.
func require(c *cli.Command) {
	var names []string
	for _, f := range c.Flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			if f.Required {
				names, f.Required = append(names, f.Name), false
			}
		case *cli.StringSliceFlag:
			if f.Required {
				names, f.Required = append(names, f.Name), false
			}
		}
	}
	c.Before = func(ctx *cli.Context) error {
		for _, name := range names {
			if !ctx.IsSet(name) {
				return argv.Usagef("the following required arguments were not provided:\n  --%s", name)
			}
		}
		return nil
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

// begin reads how to behave.
func (r *runner) begin(c *cli.Context) (err error) {
	r.yes, r.json, r.quiet, r.loud = c.Bool("yes"), c.Bool("json"), c.Bool("quiet"), c.Bool("verbose")
	if r.style, err = grid.ParseStyle(c.String("table-style")); err != nil {
		return err
	}
	r.time, err = grid.ParseTimeFormat(c.String("time-format"))
	return err
}

// with is a command's action: begin, then do, then tell programs what was changed.
func (r *runner) with(do func(*cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := r.begin(c); err != nil {
			return err
		}
		err := do(c)
		if r.json && len(r.done) > 0 {
			err = errors.Join(r.printJSON(r.done), err)
		}
		return err
	}
}

// bare is with, for a command without arguments.
func (r *runner) bare(do func(*cli.Context) error) cli.ActionFunc {
	return r.with(func(c *cli.Context) error {
		if c.Args().Present() {
			return argv.Usagef("unexpected argument '%s' found", c.Args().First())
		}
		return do(c)
	})
}

// confirm asks the user; -y answers yes.
func (r *runner) confirm(question string) error {
	if r.yes {
		return nil
	}
	_, _ = fmt.Fprintf(r.env.Err, "%s [y/N] ", question)
	line, err := r.in.ReadString('\n')
	switch answer := strings.ToLower(strings.TrimSpace(line)); {
	case answer == "y" || answer == "yes":
		return nil
	case err != nil && answer == "":
		_, _ = fmt.Fprintln(r.env.Err)
		return errors.New("nobody answered; use --yes to confirm without a question")
	default:
		return errors.New("user aborted")
	}
}

func (r *runner) completing(c *cli.Context) (completion.User, error) {
	u := completion.User{Out: r.env.Out, Lookup: r.env.Lookup}
	if u.Lookup == nil {
		u.Lookup = func(string) string { return "" }
	}
	return u, r.begin(c)
}

// health prints what the node says of itself; anything but a success is an error.
func health(c *cli.Context, env Env) error {
	ctx, cancel := context.WithTimeout(c.Context, time.Duration(c.Int64("request-timeout"))*time.Millisecond)
	defer cancel()
	address := firstAddress(c)
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/health", http.NoBody)
	if err != nil {
		return argv.Usagef("invalid value '%s' for '--address': %s", address, err)
	}
	client, err := httpClient(c)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	if err != nil {
		return fmt.Errorf("answer of %s: %w", address, err)
	}
	text := strings.TrimSpace(string(b))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answers %s %s", address, resp.Status, text)
	}
	if text == "" {
		text = resp.Status
	}
	_, err = fmt.Fprintln(env.Out, text)
	return err
}

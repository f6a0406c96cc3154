package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
)

const (
	version        = "0.1.0"
	answerBytesMax = 1 << 20
)

// Env is what a run of the program may touch.
type Env struct {
	Out, Err io.Writer
}

// Run runs the program with its arguments, without its own name, and returns its exit code.
func Run(ctx context.Context, args []string, env Env) int {
	return argv.Run(ctx, newApp(env), args, env.Err)
}

func newApp(env Env) *cli.App {
	return &cli.App{
		Name: "reprisectl", Usage: "operate a Reprise cluster",
		Writer: env.Out, ErrWriter: env.Err,
		ExitErrHandler:  func(*cli.Context, error) {}, // Run decides
		OnUsageError:    argv.OnUsage,
		HideHelpCommand: true,
		HideVersion:     true, // version is a command
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "address", Aliases: []string{"s"}, Value: "http://localhost:5122", EnvVars: []string{"RESTATECTL_ADDRESS"},
				Usage: "`URL` of the fabric port of a node",
			},
			&cli.Int64Flag{Name: "request-timeout", Value: 13000, Usage: "`MILLISECONDS` until a request is answered"},
		},
		Commands: []*cli.Command{
			{
				Name: "version", Usage: "print the version", OnUsageError: argv.OnUsage, HideHelpCommand: true,
				Action: func(*cli.Context) error {
					_, err := fmt.Fprintf(env.Out, "reprisectl %s (%s/%s, %s)\n", version, runtime.GOOS, runtime.GOARCH, runtime.Version())
					return err
				},
			},
			{
				Name: "health", Usage: "ask a node whether it is alive", OnUsageError: argv.OnUsage, HideHelpCommand: true,
				Action: func(c *cli.Context) error { return health(c, env) },
			},
			sqlCommand(env),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return argv.Usagef("unrecognized subcommand '%s'", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// health prints what the node says of itself; anything but a success is an error.
func health(c *cli.Context, env Env) error {
	ctx, cancel := context.WithTimeout(c.Context, time.Duration(c.Int64("request-timeout"))*time.Millisecond)
	defer cancel()
	address := strings.TrimRight(c.String("address"), "/")
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/health", http.NoBody)
	if err != nil {
		return argv.Usagef("invalid value '%s' for '--address': %s", address, err)
	}
	resp, err := http.DefaultClient.Do(req)
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

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"reprise/pkg/certs"
	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/telemetry"
	"reprise/services/internal/argv"
)

// Daemon is what a role gets from its main.
type Daemon struct {
	Role     string
	Config   config.Config // at the start
	Live     *config.Live  // now
	Host     host.Host
	Log      *telemetry.Recent // the last lines of its log
	Banner   io.Writer         // for people; io.Discard with --no-logo
	Secure   *certs.Mutual     // towards other daemons, once the process joins; nil: no TLS
	External *certs.Certs      // towards an external etcd, likewise
	// Hangups gets one for each SIGHUP, on which databases are compacted. Nil: none comes.
	Hangups <-chan struct{}
}

// Main runs a daemon and returns its exit code: 0 after a signal, 1 after a failure, 2 for a wrong command line.
func Main(role, usage string, run func(context.Context, Daemon) error) int {
	app := newApp(role, usage, run)
	args, err := argv.Arrange(app, os.Args[1:])
	if err != nil {
		return complain(role, usageError{err})
	}
	return complain(role, app.Run(append([]string{app.Name}, args...)))
}

func newApp(role, usage string, run func(context.Context, Daemon) error) *cli.App {
	app := &cli.App{
		Name: "reprise-" + role, Usage: usage, HideHelpCommand: true, Version: Version,
		Flags:          flags(),
		ExitErrHandler: func(*cli.Context, error) {}, // this function prints and decides
	}
	// The library prints the whole help for a wrong flag; the one line that complain prints says more.
	app.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return usageError{fmt.Errorf("%w; --help lists the flags", err)}
	}
	app.Action = func(c *cli.Context) error { return start(c, role, run) }
	return app
}

// Version of the binaries.
const Version = "0.1.0"

type usageError struct{ error }

func complain(role string, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "reprise-%s: %v\n", role, err)
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func flags() []cli.Flag {
	out := []cli.Flag{
		&cli.StringFlag{Name: "config-file", Aliases: []string{"c"}, Usage: "TOML `FILE` with settings; also RESTATE_CONFIG"},
		&cli.BoolFlag{Name: "dump-config", Usage: "print the effective configuration and end"},
		&cli.BoolFlag{Name: "config-schema", Usage: "print the JSON schema of the configuration file and end"},
		&cli.BoolFlag{Name: "production", Usage: "do not create a cluster unless told to"},
		&cli.BoolFlag{Name: "no-logo", Usage: "no banner"},
	}
	for _, f := range config.Flags() {
		if f.Bool {
			out = append(out, &cli.BoolFlag{Name: f.Name, Usage: f.Usage})
		} else {
			out = append(out, &cli.StringFlag{Name: f.Name, Usage: f.Usage})
		}
	}
	return out
}

// start loads the configuration and runs the role until it ends or a signal comes. A second signal ends
// the process at once.
func start(c *cli.Context, role string, run func(context.Context, Daemon) error) error {
	if c.Args().Present() {
		return usageError{fmt.Errorf("unexpected argument %q", c.Args().First())}
	}
	if c.Bool("config-schema") {
		text, err := config.Schema()
		if err == nil {
			_, err = os.Stdout.Write(text)
		}
		return err
	}
	live, warnings, err := load(c)
	if err != nil {
		return err
	}
	recent := telemetry.NewRecent(os.Stderr)
	h, err := telemetry.NewHost(live, role, recent, isTerminal(os.Stderr))
	if err != nil {
		return err
	}
	for _, w := range warnings {
		h.Log.Warn("configuration has settings that do nothing", slog.String(logkey.Err, w))
	}
	cfg := live.Current()
	if c.Bool("dump-config") {
		return cfg.Dump(os.Stdout)
	}
	if n := cfg.DefaultThreadPoolSize; n > 0 {
		runtime.GOMAXPROCS(int(n))
	}
	h = faulty(h)
	d := Daemon{Role: role, Config: *cfg, Live: live, Host: h, Log: recent, Banner: os.Stdout}
	if c.Bool("no-logo") {
		d.Banner = io.Discard
	}
	w := newWatcher(live, h)
	d.Hangups = w.hangups
	d.sayStart()
	mem := followMemory(os.DirFS("/"), os.Getenv("GOMEMLIMIT"), live, h.Log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	after := context.AfterFunc(ctx, func() {
		stop() // a second signal has its default effect
		timeout := live.Current().ShutdownTimeout
		h.Log.Info("stopping", slog.String(logkey.Limit, timeout.String()))
		<-h.Clock.NewTimer(timeout.D()).C()
		fmt.Fprintf(os.Stderr, "reprise-%s: not stopped within shutdown-timeout\n", role)
		os.Exit(1)
	})
	defer after()
	tracing, err := telemetry.NewTracing(ctx, cfg, Version, os.Environ(), h)
	if err != nil {
		return err
	}
	d.Host.Spans = tracing.Recorder()
	err = d.beside(ctx, mem, w, tracing, func() error { return run(ctx, d) })
	if err == nil {
		h.Log.Info("stopped")
	}
	return err
}

// load reads all settings. A fault of a flag is one of the command line.
func load(c *cli.Context) (*config.Live, []string, error) {
	given := map[string]string{}
	for _, f := range config.Flags() {
		if c.IsSet(f.Name) {
			given[f.KeyOf()] = fmt.Sprint(c.Value(f.Name))
		}
	}
	o := config.Options{File: c.String("config-file"), Environ: os.Environ(), Flags: given, Production: c.Bool("production")}
	live, warnings, err := config.Open(o)
	if err == nil {
		return live, warnings, nil
	}
	err = errors.New(oneLine(err))
	o.Flags = nil
	if _, _, without := config.Load(o); without == nil {
		err = usageError{err}
	}
	return nil, nil, err
}

// sayStart logs that the process starts, with which settings.
func (d *Daemon) sayStart() {
	d.Host.Log.Info("starting", slog.String(logkey.Node, d.Config.NodeName), slog.String(logkey.Version, Version), slog.Int(logkey.Process, os.Getpid()))
	d.Host.Log.Info("configuration: what is not the default", slog.String(logkey.Settings, strings.Join(d.Config.Differences(), "; ")))
}

// beside runs a role, and until it ends what looks after its memory, its configuration file and signals, and what sends its spans.
func (d *Daemon) beside(ctx context.Context, mem memoryBounds, w *watcher, tracing *telemetry.Tracing, run func() error) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // spans are sent until the role has ended
	signals := make(chan os.Signal, signalsMax)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	g := lifecycle.NewGroup(ctx)
	if tracing != nil {
		g.Go("tracing", tracing.Run)
	}
	g.Go("give memory back", func(ctx context.Context) error { return giveMemoryBack(ctx, d.Host.Clock) })
	g.Go("configuration and signals", func(ctx context.Context) error {
		return w.run(ctx, signals, func(s os.Signal) { d.dump(os.Stderr, s, mem) })
	})
	err := run()
	cancel()
	return errors.Join(err, g.Wait())
}

// signalsMax is how many signals may wait: more of the same ask for nothing more.
const signalsMax = 4

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

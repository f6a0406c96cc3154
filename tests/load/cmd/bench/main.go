// Command bench loads one server through its ingress and reports what it saw.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"reprise/tests/load/internal/report"
	"reprise/tests/load/internal/scen"
	"reprise/tests/load/internal/srv"
)

func main() {
	var (
		serverFile = flag.String("server", "", "server description (JSON); see README.md")
		ingress    = flag.String("ingress", "http://127.0.0.1:8080", "ingress URL of a server that runs already")
		admin      = flag.String("admin", "http://127.0.0.1:9070", "admin URL of a server that runs already")
		serverPIDs = flag.String("server-pids", "", "processes of a server that runs already, separated by commas")
		label      = flag.String("label", "", "name of the server in the report")
		services   = flag.String("services", "http://127.0.0.1:9080", "service endpoint, as the server reaches it")
		control    = flag.String("control", "http://127.0.0.1:9081", "control endpoint of the services")
		svcPIDs    = flag.String("services-pids", "", "processes of the service endpoint, separated by commas")
		scenarios  = flag.String("scenarios", "echo,steps1,steps3,steps9,counter-same-key,counter-many-keys", "scenarios, separated by commas, or 'all'")
		list       = flag.Bool("list", false, "list the scenarios")
		conc       = flag.Int("c", 0, "concurrency (0: the scenario's own)")
		rate       = flag.Float64("rate", 0, "requests a second, open loop (0: closed loop)")
		duration   = flag.Duration("d", 10*time.Second, "duration of each measurement")
		warmup     = flag.Duration("warmup", 2*time.Second, "load before each measurement")
		n          = flag.Int("n", 0, "size of the scenario, where it has one")
		size       = flag.Int("size", 0, "bytes of one entry, where the scenario has any")
		proto      = flag.String("proto", "h1", "protocol to the ingress: h1, std1 or h2c")
		repeat     = flag.Int("repeat", 1, "how often to run each scenario")
		freshEach  = flag.Bool("fresh", false, "start the server anew, with empty data, before each run (needs -server)")
		jsonOut    = flag.String("json", "", "write results to this file")
		compare    = flag.Bool("compare", false, "compare two result files given as arguments")
		register   = flag.Bool("register", true, "register the services first")
		quiet      = flag.Float64("quiet", 1, "wait before each measurement until others use at most this share of the machine")
		quietMax   = flag.Duration("quiet-max", time.Minute, "how long to wait for that")
	)
	flag.Parse()

	if *list {
		for _, s := range scen.All() {
			fmt.Printf("%-18s %s\n", s.Name, s.Doc)
		}
		return
	}
	if *compare {
		if flag.NArg() != 2 {
			fatal(fmt.Errorf("-compare wants two result files"))
		}
		a, err := report.Read(flag.Arg(0))
		if err != nil {
			fatal(err)
		}
		b, err := report.Read(flag.Arg(1))
		if err != nil {
			fatal(err)
		}
		report.Compare(os.Stdout, a.Label, b.Label, a.Results, b.Results)
		return
	}

	cfg := srv.Config{Name: *label, Ingress: *ingress, Admin: *admin, PIDs: pidList(*serverPIDs)}
	if *serverFile != "" {
		c, err := srv.LoadConfig(*serverFile)
		if err != nil {
			fatal(err)
		}
		cfg = c
		if *label != "" {
			cfg.Name = *label
		}
	}
	s := srv.New(cfg)
	fatal := func(err error) {
		s.Stop()
		fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if s.Managed() {
		defer s.Stop()
	}
	t := &scen.Target{Server: s, ServicesURI: *services, Control: *control, ServicesPIDs: pidList(*svcPIDs)}

	names := strings.Split(*scenarios, ",")
	if *scenarios == "all" {
		names = nil
		for _, sc := range scen.All() {
			names = append(names, sc.Name)
		}
	}
	var results []report.Result
	for i := range *repeat {
		for _, name := range names {
			sc, ok := scen.Find(name)
			if !ok {
				fatal(fmt.Errorf("no scenario %q", name))
			}
			if s.Managed() && !sc.NeedsManaged && (*freshEach || !s.Running()) || s.Managed() && name == "recovery" {
				s.Stop()
				if err := s.Up(ctx, true, *services); err != nil {
					fatal(err)
				}
			} else if !s.Managed() && *register && i == 0 && len(results) == 0 {
				if err := s.Register(ctx, *services); err != nil {
					fatal(err)
				}
			}
			if *quiet < 1 {
				scen.WaitQuiet(ctx, *quiet, *quietMax, func() []int { return append(pidList(*svcPIDs), s.ProcessIDs()...) })
			}
			p := scen.Params{Proto: *proto, Concurrency: *conc, Rate: *rate, Duration: *duration, Warmup: *warmup, N: *n, Size: *size}
			r, err := sc.Run(ctx, t, p)
			r.Round = i
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
				r.Notes = append(r.Notes, "failed: "+err.Error())
			}
			results = append(results, r)
			fmt.Fprintf(os.Stderr, "%s %s: %.0f req/s, %d errors\n", cfg.Name, name, r.OpsPerSec, r.Errors)
			if *jsonOut != "" {
				if err := report.Write(*jsonOut, cfg.Name, results); err != nil {
					fatal(err)
				}
			}
			if ctx.Err() != nil {
				break
			}
		}
	}
	report.Markdown(os.Stdout, results)
}

func pidList(s string) []int {
	var out []int
	for _, f := range strings.Split(s, ",") {
		if p, err := strconv.Atoi(strings.TrimSpace(f)); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

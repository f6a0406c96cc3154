// Command sidebyside measures two servers in turns, so that what else happens
// on the machine hits both alike, and reports by how much one is better.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"reprise/tests/load/internal/report"
	"reprise/tests/load/internal/scen"
	"reprise/tests/load/internal/srv"
)

func main() {
	var (
		aFile     = flag.String("a", "", "description of server A (JSON)")
		bFile     = flag.String("b", "", "description of server B (JSON)")
		mode      = flag.String("mode", "turns", "turns: each server runs only while it is measured, with empty data; both: the two run all the time")
		scenarios = flag.String("scenarios", "echo,steps1,steps3,steps9,counter-same-key,counter-many-keys", "scenarios, separated by commas, or 'all'")
		rounds    = flag.Int("rounds", 3, "rounds; in each, A and B are measured once a scenario, in alternating order")
		conc      = flag.Int("c", 0, "concurrency (0: the scenario's own)")
		rate      = flag.Float64("rate", 0, "requests a second, open loop (0: closed loop)")
		duration  = flag.Duration("d", 8*time.Second, "duration of each measurement")
		warmup    = flag.Duration("warmup", 2*time.Second, "load before each measurement")
		n         = flag.Int("n", 0, "size of the scenario, where it has one")
		size      = flag.Int("size", 0, "bytes of one entry, where the scenario has any")
		proto     = flag.String("proto", "h1", "protocol to the ingress: h1, std1 or h2c")
		svcBin    = flag.String("services-bin", "", "bench-services binary (default: beside this binary)")
		lean      = flag.Bool("lean", false, "use the minimal service endpoint instead of the SDK's")
		svcListen = flag.String("services-listen", "127.0.0.1:28980", "address of the service endpoint")
		svcCtl    = flag.String("services-control", "127.0.0.1:28981", "address of its control endpoint")
		quiet     = flag.Float64("quiet", 1, "wait before each measurement until others use at most this share of the machine")
		quietMax  = flag.Duration("quiet-max", time.Minute, "how long to wait for that")
		out       = flag.String("out", "", "folder for a.json, b.json and report.md (default: print only)")
	)
	flag.Parse()
	if err := run(options{*aFile, *bFile, *mode, *scenarios, *rounds, *svcBin, *lean, *svcListen, *svcCtl, *quiet, *quietMax, *out,
		scen.Params{Proto: *proto, Concurrency: *conc, Rate: *rate, Duration: *duration, Warmup: *warmup, N: *n, Size: *size}}); err != nil {
		fmt.Fprintln(os.Stderr, "sidebyside:", err)
		os.Exit(1)
	}
}

type options struct {
	aFile, bFile, mode, scenarios string
	rounds                        int
	svcBin                        string
	lean                          bool
	svcListen, svcCtl             string
	quiet                         float64
	quietMax                      time.Duration
	out                           string
	params                        scen.Params
}

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var servers [2]*srv.Server
	for i, f := range []string{o.aFile, o.bFile} {
		c, err := srv.LoadConfig(f)
		if err != nil {
			return err
		}
		servers[i] = srv.New(c)
		if !servers[i].Managed() {
			return fmt.Errorf("%s has no start command", f)
		}
		defer servers[i].Stop()
	}
	if servers[0].Name == servers[1].Name {
		servers[1].Name += "-b"
	}

	var list []scen.Scenario
	if o.scenarios == "all" {
		list = scen.All()
	} else {
		for _, name := range strings.Split(o.scenarios, ",") {
			s, ok := scen.Find(name)
			if !ok {
				return fmt.Errorf("no scenario %q", name)
			}
			list = append(list, s)
		}
	}

	pid, stopServices, err := startServices(o)
	if err != nil {
		return err
	}
	defer stopServices()
	targets := [2]*scen.Target{}
	for i := range targets {
		targets[i] = &scen.Target{Server: servers[i], ServicesURI: "http://" + o.svcListen, Control: "http://" + o.svcCtl, ServicesPIDs: []int{pid}}
	}
	if o.mode == "both" {
		for i := range servers {
			if err := servers[i].Up(ctx, true, targets[i].ServicesURI); err != nil {
				return err
			}
		}
	}

	var results [2][]report.Result
	for round := range o.rounds {
		for _, sc := range list {
			for turn := range 2 {
				i := (turn + round) % 2
				s, t := servers[i], targets[i]
				if !sc.NeedsManaged && (o.mode != "both" || !s.Running()) || sc.Name == "recovery" {
					s.Stop()
					if err := s.Up(ctx, true, t.ServicesURI); err != nil {
						return err
					}
				}
				if o.quiet < 1 {
					scen.WaitQuiet(ctx, o.quiet, o.quietMax, func() []int { return append([]int{pid}, s.ProcessIDs()...) })
				}
				r, err := sc.Run(ctx, t, o.params)
				r.Round = round
				if err != nil {
					r.Notes = append(r.Notes, "failed: "+err.Error())
					fmt.Fprintf(os.Stderr, "%s %s: %v\n", s.Name, sc.Name, err)
				}
				results[i] = append(results[i], r)
				us := 0.0
				if r.Server != nil {
					us = r.Server.CPUMicrosPerOp
				}
				fmt.Fprintf(os.Stderr, "round %d %-18s %-12s %9.0f req/s %9.0f server CPU µs/op, %d errors, foreign %.0f%%\n",
					round+1, sc.Name, s.Name, r.OpsPerSec, us, r.Errors, 100*r.MachineForeign)
				if o.mode != "both" {
					s.Stop()
				}
				if o.out != "" {
					if err := store(o.out, servers, results); err != nil {
						return err
					}
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
		}
	}
	report.Compare(os.Stdout, servers[0].Name, servers[1].Name, results[0], results[1])
	return nil
}

func store(dir string, servers [2]*srv.Server, results [2][]report.Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, name := range []string{"a.json", "b.json"} {
		if err := report.Write(filepath.Join(dir, name), servers[i].Name, results[i]); err != nil {
			return err
		}
	}
	f, err := os.Create(filepath.Join(dir, "report.md"))
	if err != nil {
		return err
	}
	defer f.Close()
	report.Compare(f, servers[0].Name, servers[1].Name, results[0], results[1])
	fmt.Fprintln(f)
	report.Markdown(f, append(append([]report.Result(nil), results[0]...), results[1]...))
	return nil
}

func startServices(o options) (int, func(), error) {
	bin := o.svcBin
	if bin == "" {
		self, err := os.Executable()
		if err != nil {
			return 0, nil, err
		}
		bin = filepath.Join(filepath.Dir(self), "bench-services")
	}
	args := []string{"-listen", o.svcListen, "-control", o.svcCtl}
	if o.lean {
		args = append(args, "-lean")
	}
	cmd := exec.Command(bin, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	}
	end := time.Now().Add(10 * time.Second)
	for {
		resp, err := http.Get("http://" + o.svcCtl + "/stats")
		if err == nil {
			resp.Body.Close()
			return cmd.Process.Pid, stop, nil
		}
		if time.Now().After(end) {
			stop()
			return 0, nil, fmt.Errorf("the service endpoint does not come up: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

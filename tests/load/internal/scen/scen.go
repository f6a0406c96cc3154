// Package scen holds the benchmark scenarios.
package scen

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"time"

	"reprise/tests/load/internal/load"
	"reprise/tests/load/internal/procfs"
	"reprise/tests/load/internal/report"
	"reprise/tests/load/internal/srv"
)

// Target is what a scenario runs against.
type Target struct {
	Server       *srv.Server
	ServicesURI  string // service endpoint, as the server reaches it
	Control      string // control endpoint of the services
	ServicesPIDs []int
}

// Params tune a run; zero values mean the scenario's own defaults.
type Params struct {
	Proto       string
	Concurrency int
	Rate        float64
	Duration    time.Duration
	Warmup      time.Duration
	N           int // size of the scenario: invocations, entries or runs, by scenario
	Size        int // bytes of one entry or value
}

// Scenario is one benchmark.
type Scenario struct {
	Name string
	Doc  string
	// NeedsManaged is set where the scenario starts and stops the server itself.
	NeedsManaged bool
	run          func(context.Context, *Target, Params) (report.Result, error)
}

// Run runs the scenario once.
func (s Scenario) Run(ctx context.Context, t *Target, p Params) (report.Result, error) {
	if s.NeedsManaged && !t.Server.Managed() {
		return report.Result{}, fmt.Errorf("scenario %s starts and stops the server itself: it needs a start command", s.Name)
	}
	if p.Proto == "" {
		p.Proto = "h1"
	}
	if p.Duration == 0 {
		p.Duration = 10 * time.Second
	}
	r, err := s.run(ctx, t, p)
	r.Scenario = s.Name
	r.Label = t.Server.Name
	r.Proto = p.Proto
	return r, err
}

const (
	jsonType  = "application/json"
	bytesType = "application/octet-stream"
)

// All lists the scenarios in their usual order.
func All() []Scenario {
	fixed := func(path string, body []byte, contentType string) func(int, int64) *load.Request {
		r := &load.Request{Path: path, Body: body, ContentType: contentType}
		return func(int, int64) *load.Request { return r }
	}
	steps := func(n int) func(int, int64) *load.Request {
		return fixed("/Bench/steps", []byte(strconv.Itoa(n)), jsonType)
	}
	keyed := func(object, handler string, keys int, body string) func(int, int64) *load.Request {
		return func(int, int64) *load.Request {
			return &load.Request{Path: "/" + object + "/k" + strconv.Itoa(rand.IntN(keys)) + "/" + handler, Body: []byte(body), ContentType: jsonType}
		}
	}
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = byte(rand.IntN(256))
	}
	return []Scenario{
		loaded("echo", "a handler that returns its input: nothing but the input and the output is journaled", 2, 64, 0,
			fixed("/Bench/echo", []byte(`"hello"`), jsonType)),
		loaded("steps1", "1 durable step (the recorded result of a side effect)", 3, 64, 0, steps(1)),
		loaded("steps3", "3 durable steps in sequence", 5, 64, 0, steps(3)),
		loaded("steps9", "9 durable steps in sequence", 11, 64, 0, steps(9)),
		loaded("steps9-single", "9 durable steps, one client: latency of an idle server", 11, 1, 0, steps(9)),
		loaded("calls3", "3 durable steps in sequence, each a call to another handler", 8, 32, 0, fixed("/Bench/calls", []byte("3"), jsonType)),
		loaded("state3", "3 durable steps in sequence, each a read and a write of object state, 10000 keys", 5, 64, 0,
			keyed("State", "steps", 10000, "3")),
		counterSameKey(),
		loaded("counter-many-keys", "read and add to a counter, 10000 keys", 3, 64, 0, keyed("Counter", "add", 10000, "1")),
		loaded("awakeable", "an awakeable resolved by another invocation", 6, 32, 0, fixed("/Bench/awakeable", []byte(`"x"`), jsonType)),
		loaded("send", "one-way invocation of echo: time to its durable acceptance", 2, 64, 0,
			fixed("/Bench/echo/send", []byte(`"hello"`), jsonType)),
		loaded("state-large", "reads and replaces a 100 KiB state value, 64 keys", 3, 16, 0, keyed("State", "large", 64, "102400")),
		loaded("payload-large", "1 MiB in, 1 MiB out", 2, 8, 0, fixed("/Bench/payload", big, bytesType)),
		loaded("fanout100", "100 concurrent calls, all awaited", 302, 4, 0, fixed("/Bench/fanout", []byte("100"), jsonType)),
		{Name: "sleep-timers", Doc: "n invocations suspended in a sleep at once: memory of each, and how late they wake", run: sleepTimers},
		{Name: "sleepers-restart", Doc: "the server is killed with n invocations suspended in a sleep: time to be ready and to the next success", NeedsManaged: true, run: sleepersRestart},
		{Name: "replay-long", Doc: "an invocation with a journal of n entries: time to resume after a cut connection and after a suspension", run: replayLong},
		{Name: "journal-memory", Doc: "memory of the server with c running invocations that have journals of n entries of the given size", run: journalMemory},
		{Name: "sql-scan", Doc: "time of typical introspection queries with n invocations present", run: sqlScan},
		{Name: "steps-under-scan", Doc: "steps3 in windows that take turns, alone and while a client reads all invocations again and again", run: stepsUnderScan},
		{Name: "cold-start", Doc: "time from process start to the first success, with empty and with kept data", NeedsManaged: true, run: coldStart},
		{Name: "recovery", Doc: "the server is killed under load: time to the next success, and whether every request took effect exactly once", NeedsManaged: true, run: recovery},
	}
}

// Find looks a scenario up by name.
func Find(name string) (Scenario, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

func loaded(name, doc string, actions, conc int, rate float64, next func(int, int64) *load.Request) Scenario {
	return Scenario{Name: name, Doc: doc, run: func(ctx context.Context, t *Target, p Params) (report.Result, error) {
		if p.Concurrency == 0 {
			p.Concurrency = conc
		}
		if p.Rate == 0 {
			p.Rate = rate
		}
		return runLoad(ctx, t, p, actions, load.Spec{Next: next})
	}}
}

// meter reads what the parties have used between its start and stop.
type meter struct {
	t        *Target
	start    time.Time
	server   procfs.Usage
	services procfs.Usage
	self     procfs.Usage
	disk     procfs.Disk
	machine  procfs.Machine
	load1    float64
	srvPeak  *procfs.Sampler
	svcPeak  *procfs.Sampler
}

func startMeter(t *Target) *meter {
	m := &meter{t: t, load1: procfs.Load1()}
	m.server = procfs.ReadAll(t.Server.ProcessIDs())
	m.services = procfs.ReadAll(t.ServicesPIDs)
	m.self, _ = procfs.Read(os.Getpid())
	m.disk = procfs.ReadDisk()
	m.machine = procfs.ReadMachine()
	m.srvPeak = procfs.Sample(t.Server.ProcessIDs, 100*time.Millisecond)
	m.svcPeak = procfs.Sample(func() []int { return t.ServicesPIDs }, 250*time.Millisecond)
	m.start = time.Now()
	return m
}

func (m *meter) stop(ops int64) report.Result {
	secs := time.Since(m.start).Seconds()
	server := procfs.ReadAll(m.t.Server.ProcessIDs())
	services := procfs.ReadAll(m.t.ServicesPIDs)
	self, _ := procfs.Read(os.Getpid())
	mach := procfs.ReadMachine()
	disk := procfs.ReadDisk().Sub(m.disk)
	proc := func(a, b procfs.Usage, peak uint64, n int) *report.Proc {
		p := &report.Proc{
			CPUSeconds: b.CPU() - a.CPU(), UserSeconds: b.UserSeconds - a.UserSeconds, SystemSeconds: b.SystemSeconds - a.SystemSeconds,
			RSSStart: a.RSS, RSSEnd: b.RSS, RSSPeak: max(peak, b.RSS), DiskWriteBytes: b.WriteBytes - a.WriteBytes, Processes: n,
		}
		if ops > 0 {
			p.CPUMicrosPerOp = p.CPUSeconds * 1e6 / float64(ops)
			p.WriteCallsPerOp = float64(b.WriteCalls-a.WriteCalls) / float64(ops)
			p.SwitchesPerOp = float64(int64(b.VolSwitches+b.InvolSwitches)-int64(a.VolSwitches+a.InvolSwitches)) / float64(ops)
		}
		return p
	}
	r := report.Result{
		At: m.start, Seconds: secs, Ops: ops, Disk: disk,
		Load1Before: m.load1, Load1After: procfs.Load1(),
		Server:   proc(m.server, server, m.srvPeak.Stop(), len(m.t.Server.ProcessIDs())),
		Services: proc(m.services, services, m.svcPeak.Stop(), len(m.t.ServicesPIDs)),
		LoadGen:  proc(m.self, self, 0, 1),
	}
	if ops > 0 {
		r.OpsPerSec = float64(ops) / secs
		r.FlushesPerOp = float64(disk.Flushes) / float64(ops)
	}
	if total := mach.Total - m.machine.Total; total > 0 {
		busy := mach.Busy - m.machine.Busy
		ours := r.Server.CPUSeconds + r.Services.CPUSeconds + r.LoadGen.CPUSeconds
		r.MachineBusy = busy / total
		r.MachineForeign = max(0, busy-ours) / total
	}
	return r
}

func runLoad(ctx context.Context, t *Target, p Params, actions int, s load.Spec) (report.Result, error) {
	d, err := load.NewDialer(t.Server.Ingress, p.Proto)
	if err != nil {
		return report.Result{}, err
	}
	s.Concurrency = p.Concurrency
	if p.Warmup > 0 {
		w := s
		w.Duration = p.Warmup
		w.Rate = p.Rate
		load.Run(ctx, d, w)
	}
	s.Duration, s.Rate = p.Duration, p.Rate
	m := startMeter(t)
	o := load.Run(ctx, d, s)
	r := m.stop(o.Ops)
	fill(&r, o, p, actions)
	return r, nil
}

func fill(r *report.Result, o load.Outcome, p Params, actions int) {
	l := report.FromHist(o.Hist)
	r.Latency = &l
	r.Concurrency, r.Rate = p.Concurrency, p.Rate
	r.Seconds = o.Elapsed.Seconds()
	r.Errors, r.Retries = o.Errors, o.Retries
	r.OpsPerSec = float64(o.Ops) / o.Elapsed.Seconds()
	r.ActionsPerOp = actions
	r.ActionsPerSec = r.OpsPerSec * float64(actions)
	if o.FirstErr != nil {
		r.FirstError = o.FirstErr.Error()
	}
}

func counterSameKey() Scenario {
	return Scenario{Name: "counter-same-key", Doc: "add to one counter: its invocations run one after the other", run: func(ctx context.Context, t *Target, p Params) (report.Result, error) {
		if p.Concurrency == 0 {
			p.Concurrency = 32
		}
		key := "one" + strconv.FormatInt(time.Now().UnixNano(), 36)
		req := &load.Request{Path: "/Counter/" + key + "/add", Body: []byte("1"), ContentType: jsonType}
		var total int64
		warm := p.Warmup
		p.Warmup = 0
		d, err := load.NewDialer(t.Server.Ingress, p.Proto)
		if err != nil {
			return report.Result{}, err
		}
		next := func(int, int64) *load.Request { return req }
		if warm > 0 {
			total += load.Run(ctx, d, load.Spec{Concurrency: p.Concurrency, Duration: warm, Next: next}).Ops
		}
		r, err := runLoad(ctx, t, p, 3, load.Spec{Next: next})
		if err != nil {
			return r, err
		}
		total += r.Ops
		v, err := counterValue(ctx, d, key)
		if err != nil {
			return r, err
		}
		r.Extra = map[string]float64{"counter_ok": b2f(v == total)}
		if v != total {
			r.Notes = append(r.Notes, fmt.Sprintf("the counter is %d after %d successful additions (%d errors)", v, total, r.Errors))
		}
		return r, nil
	}}
}

func counterValue(ctx context.Context, d *load.Dialer, key string) (int64, error) {
	c := d.Client()
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, load.RequestTimeout)
	defer cancel()
	resp, err := c.Do(ctx, &load.Request{Path: "/Counter/" + key + "/get"})
	if err != nil {
		return 0, err
	}
	if resp.Status != 200 {
		return 0, fmt.Errorf("reading the counter: status %d: %s", resp.Status, resp.Body)
	}
	return strconv.ParseInt(string(resp.Body), 10, 64)
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// ServiceStats mirrors what the control endpoint of the services answers.
type ServiceStats struct {
	Started   int64   `json:"started"`
	Completed int64   `json:"completed"`
	Exited    int64   `json:"exited"`
	Arrivals  []int64 `json:"arrivals"`
	LagsMs    []int64 `json:"lags_ms"`
	RSS       uint64  `json:"rss"`
	Conns     int     `json:"conns"`
}

func (t *Target) stats() (ServiceStats, error) {
	var s ServiceStats
	return s, t.controlGet("/stats", &s)
}

func (t *Target) controlGet(path string, v any) error {
	resp, err := http.Get(t.Control + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(v)
}

func (t *Target) control(path string) error {
	resp, err := http.Post(t.Control+path, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: status %d", path, resp.StatusCode)
	}
	return nil
}

// until polls cond every interval until it holds or the time is up.
func until(ctx context.Context, limit, every time.Duration, cond func() (bool, error)) error {
	end := time.Now().Add(limit)
	for {
		ok, err := cond()
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not reached within %s", limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

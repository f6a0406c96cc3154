package sim_test

import (
	"flag"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// TestMain has one thread run all goroutines: with several, two that are woken at one moment come in any order, and a
// seed would not give the same history again.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

func flat(n int) []string { return make([]string, n) }

// setups are the clusters that are played.
var setups = []setup{
	{name: "2 of 3", replication: "{node: 2}", zones: flat(3), workers: 2, daemons: 2, partitions: 1, copies: 2},
	{name: "2 of 3, partitions", replication: "{node: 2}", zones: flat(3), workers: 3, daemons: 1, partitions: 2, copies: 2},
	{name: "3 of 5", replication: "{node: 3}", zones: flat(5), workers: 3, daemons: 1, partitions: 1, copies: 3},
	{name: "4 of 5", replication: "{node: 4}", zones: flat(5), workers: 2, daemons: 1, partitions: 1, copies: 2},
	{name: "2 of 4", replication: "{node: 2}", zones: flat(4), workers: 3, daemons: 2, partitions: 1, copies: 2},
	{name: "zones", replication: "{zone: 2, node: 3}", zones: []string{"r.a", "r.a", "r.b", "r.b", "r.c", "r.c"}, workers: 2, daemons: 1, partitions: 1, copies: 2},
}

// Each set-up has these.
func init() {
	for i := range setups {
		s := &setups[i]
		s.clients, s.requests, s.run, s.heal = 3, 12, 20*time.Second, 60*time.Second
		s.replayBudget = 30
	}
}

// faultsOf are those of a seed: some are quiet, in others much goes wrong.
func faultsOf(seed uint64) faults {
	r := rand.New(rand.NewPCG(seed, 1))
	some := func(most float64) float64 { return most * r.Float64() * r.Float64() }
	return faults{
		loss: some(0.05), twice: some(0.05), late: r.Float64(), kill: some(0.08), cut: some(0.03), wipe: some(0.1),
		jump: some(0.02), skew: time.Duration(some(float64(400 * time.Millisecond))),
		objects: some(0.2), slow: some(0.03), halt: some(0.02), out: some(0.004),
	}
}

// seedOf is the seed that is to be replayed, if there is one.
func seedOf(t *testing.T) (seed uint64, ok bool) {
	t.Helper()
	text := os.Getenv("SIM_SEED")
	if text == "" {
		return 0, false
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seed, true
}

// long is how long new seeds are played.
func long(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SIM_TIME")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSimulation plays histories with the code as it is. SIM_SEED replays one seed and shows what happens, SIM_TIME says
// how long new ones are played.
func TestSimulation(t *testing.T) {
	if seed, ok := seedOf(t); ok {
		w, err := play(t, seed, setups[seed%uint64(len(setups))], faultsOf(seed), mistakes{}, func(w *world) {
			w.verbose = func(line string) { t.Log(line) }
			w.log = slog.NewTextHandler(t.Output(), nil)
		})
		t.Logf("seed %d (%s): %d steps", seed, w.setup.name, w.net.steps)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		return
	}
	var sum tally
	start := time.Now()
	base := rand.Uint64()
	limit := long(t)
	for i := uint64(0); time.Since(start) < limit; i++ {
		seed := base + i
		w, err := play(t, seed, setups[seed%uint64(len(setups))], faultsOf(seed), mistakes{}, nil)
		sum.add(w)
		if err != nil {
			t.Errorf("seed %d (%s): %v\nreplay: SIM_SEED=%d go test ./pkg/sim -run TestSimulation -v", seed, w.setup.name, err, seed)
			if sum.failed++; sum.failed > 3 {
				break
			}
		}
	}
	t.Logf("seeds %d to %d: %+v in %s", base, base+uint64(sum.seeds)-1, sum, time.Since(start).Round(time.Second))
}

// tally is what happened in all histories.
type tally struct {
	seeds, steps, lost, twice, kills, stops, wipes, acks, answers, retries, repairs, segments, attempts, replayed int
	puts, trims, gaps, restored                                                                                   int

	failed int
}

func (x *tally) add(w *world) {
	x.seeds++
	x.steps += w.net.steps
	x.lost += w.net.lost
	x.twice += w.net.twice
	x.kills += w.kills
	x.stops += w.stops
	x.wipes += w.wipes
	x.acks += w.check.acks
	x.answers += w.history.done
	x.retries += w.history.retries
	x.repairs += int(w.check.repairs.Load())
	x.segments += len(w.check.loglets)
	x.attempts += w.endpoint.attempts
	x.replayed += w.check.replayed
	x.puts += w.bucket.puts
	x.trims += w.check.trims
	x.gaps += w.check.gaps
	x.restored += w.check.restored
}

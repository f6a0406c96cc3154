package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
)

// load is what clients did, and what must follow from it.
type load struct {
	w    *world
	rand *hosttest.Rand
	keys []string

	mu   sync.Mutex
	sums map[string]map[string]bool // by key: what additions answered
	want map[string]int             // by key: how many additions there were
}

func newLoad(w *world, seed uint64) *load {
	l := &load{w: w, rand: hosttest.NewRand(seed), sums: map[string]map[string]bool{}, want: map[string]int{}}
	for p := range w.partitions {
		for n := range 2 {
			key := w.keyIn(id.Partition(p), n)
			l.keys = append(l.keys, key)
			l.sums[key] = map[string]bool{}
		}
	}
	return l
}

func (l *load) draw(n int) int { return int(l.rand.Uint64() % uint64(n)) }

// client calls handlers that add to objects, each request until it is answered.
func (l *load) client(ctx context.Context, name string, requests int) error {
	for i := range requests {
		key := l.keys[l.draw(len(l.keys))]
		request := name + " " + strconv.Itoa(i)
		switch l.draw(4) {
		case 0:
			many := []string{}
			for range 1 + l.draw(8) {
				many = append(many, l.keys[l.draw(len(l.keys))])
			}
			l.count(many...)
			if got, err := l.w.call(ctx, tell, request, strings.Join(many, " ")); err != nil || got != "told" {
				return fmt.Errorf("%s tells: %q, %w", request, got, err)
			}
			continue
		case 1:
			l.count(key)
			got, err := l.w.call(ctx, relay, request, key)
			if err := l.added(key, got, err); err != nil {
				return fmt.Errorf("%s: relay: %w", request, err)
			}
		default:
			l.count(key)
			got, err := l.w.call(ctx, add(key), request, "")
			if err := l.added(key, got, err); err != nil {
				return fmt.Errorf("%s: add: %w", request, err)
			}
		}
	}
	return nil
}

func (l *load) count(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		l.want[k]++
	}
}

func (l *load) added(key, sum string, err error) error {
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sums[key][sum] {
		return fmt.Errorf("two additions to %s answered %s", key, sum)
	}
	l.sums[key][sum] = true
	return nil
}

// run has clients work while disturb does harm, then checks that every addition was made once.
func (l *load) run(clients, requests int, disturb func()) {
	t := l.w.t
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 6*wait, errors.New("no result in time"))
	defer cancel()
	g := lifecycle.NewGroup(ctx)
	for c := range clients {
		g.Go("client", func(ctx context.Context) error { return l.client(ctx, "client "+strconv.Itoa(c), requests) })
	}
	disturb()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, key := range l.keys {
		polls := 0
		eventually(t, "all additions to "+key, func() bool {
			polls++
			got, err := l.w.call(ctx, get(key), fmt.Sprintf("get %d %d", i, polls), "")
			must(t, err)
			n, _ := strconv.Atoi(got)
			if n > l.want[key] {
				t.Fatalf("%d additions to %s, there were %d", n, key, l.want[key])
			}
			return n == l.want[key]
		})
	}
	for p := range l.w.partitions {
		eventually(t, "an empty outbox", func() bool {
			return slices.ContainsFunc(l.w.running(), func(n *worker) bool { return n.OutboxTargets(id.Partition(p)) == 0 })
		})
	}
}

// Leaders lose their partitions again and again, with records that nobody knows to be in the log or not.
func TestLosingLeadershipLosesNothing(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			w := newWorld(t, 3, 2)
			w.start("a")
			l := newLoad(w, seed)
			l.run(6, 30, func() {
				for range 40 {
					p := id.Partition(l.draw(3))
					w.log.hold(true)
					for range l.draw(4) {
						pause(t.Context())
					}
					w.log.fail(p, l.draw(3))
					w.log.hold(false)
					for range l.draw(30) {
						pause(t.Context())
					}
				}
			})
		})
	}
}

// The process dies with what it did not flush; the next one replays the log.
func TestCrashesLoseNothing(t *testing.T) {
	w := newWorld(t, 3, 2)
	w.cfg.ReplayBudget = 200
	n := w.start("a")
	l := newLoad(w, 7)
	l.run(6, 40, func() {
		for range 4 {
			for range 30 + l.draw(60) {
				pause(t.Context())
			}
			n.crash()
			n = w.start("a")
		}
	})
}

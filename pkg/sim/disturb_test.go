package sim_test

import (
	"context"
	"strconv"
	"time"

	"reprise/pkg/logproto"
	"reprise/pkg/metastore"
)

type groupOf = logproto.Group

// disturb has something go wrong now and then.
func (w *world) disturb() {
	w.restart(0.1)
	if w.chance(w.faults.kill) {
		m := w.machines[w.rnd.IntN(len(w.machines))]
		if m.now != nil && w.up(m.role) > w.least(m.role) {
			power := w.chance(0.5)
			w.say("kill %s, power %v", m.name, power)
			m.kill(power)
			w.kills++
		}
	}
	if w.chance(w.faults.cut) {
		a, b := w.machines[w.rnd.IntN(len(w.machines))].name, w.machines[w.rnd.IntN(len(w.machines))].name
		if w.chance(0.3) {
			b = etcd
		}
		w.say("cut %s %s", a, b)
		w.net.cut[[2]string{a, b}] = true
		if w.chance(0.5) {
			w.net.cut[[2]string{b, a}] = true
		}
	}
	if w.chance(0.05) {
		clear(w.net.cut)
	}
}

// least is how many of a role stay up.
func (w *world) least(role string) int {
	if role == metastore.RoleLogServer {
		return len(w.setup.zones) - 1
	}
	return 0
}

func (w *world) up(role string) (n int) {
	for _, m := range w.machines {
		if m.role == role && m.now != nil {
			n++
		}
	}
	return n
}

// restart starts what is down.
func (w *world) restart(p float64) {
	for _, m := range w.machines {
		if m.now == nil && !m.retired && w.chance(p) {
			m.start()
		}
	}
}

// calm ends all that goes wrong.
func (w *world) calm() {
	w.faults.loss, w.faults.twice, w.faults.late = 0, 0, 0
	clear(w.net.cut)
	w.restart(1)
}

// finish checks what is to be seen at the end: each addition that was asked for was made once.
func (w *world) finish(ctx context.Context, keys []string) {
	done := make(chan struct{})
	c := &client{w: w, p: w.bare("last"), name: "last", rnd: w.rnd}
	w.processes["last"] = c.p
	w.group.Go("last", func(context.Context) error {
		defer close(done)
		for i, key := range keys {
			for polls := 0; ctx.Err() == nil; polls++ {
				got, _ := strconv.Atoi(c.call(ctx, target{object, "get", key}, "get-"+key+"-"+strconv.Itoa(i)+"-"+strconv.Itoa(polls), ""))
				want := w.history.asked[key]
				if got > want {
					w.violate("P4", "%s counts %d, there were %d additions", key, got, want)
				}
				if got >= want {
					break
				}
				c.pause(ctx, 100*time.Millisecond)
			}
		}
		return nil
	})
	start := time.Now()
	for time.Since(start) < w.setup.heal && w.violation() == nil && !closed(done) {
		w.rounds(round)
		w.restart(1)
	}
	if w.violation() == nil && !closed(done) {
		w.violate("P9", "additions are missing %s after all is well again", w.setup.heal)
	}
}

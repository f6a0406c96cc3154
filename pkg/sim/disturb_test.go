package sim_test

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"reprise/pkg/id"
	"reprise/pkg/metastore"
)

// disturb has something go wrong now and then.
func (w *world) disturb() {
	w.restart()
	if w.chance(w.faults.kill) {
		m := w.machines[w.rnd.IntN(len(w.machines))]
		if m.now != nil && w.up(m.role) > w.least(m.role) {
			power := w.chance(0.5)
			w.say("kill %s, power %v", m.name, power)
			m.kill(power)
			m.back = time.Now().Add(w.between(20*time.Millisecond, 10*time.Second))
			w.kills++
			if w.chance(w.wipeOf(m)) {
				w.wipe(m)
			}
		}
	}
	if w.chance(w.faults.halt) {
		if m := w.machines[w.rnd.IntN(len(w.machines))]; m.now != nil && !m.now.halted.on() {
			d := w.between(50*time.Millisecond, stopMost)
			w.say("%s is stopped for %s", m.name, d)
			w.stops++
			m.halt(d)
		}
	}
	if w.chance(w.faults.out) {
		w.endpoint.out(w.between(100*time.Millisecond, outMost))
	}
	if w.chance(w.faults.cut) {
		w.cut()
	}
	if w.chance(w.faults.slow) {
		w.bucket.slow = time.Now().Add(w.between(100*time.Millisecond, 10*time.Second))
		w.say("the object store is slow until %s", w.bucket.slow)
	}
	if w.chance(w.faults.jump) {
		w.jump(w.machines[w.rnd.IntN(len(w.machines))])
	}
}

// cut has nothing get through from one machine to another, or to any, for a while; mostly in both directions.
func (w *world) cut() {
	a, b := w.machines[w.rnd.IntN(len(w.machines))].name, w.machines[w.rnd.IntN(len(w.machines))].name
	switch x := w.rnd.Float64(); {
	case a == b:
		return
	case x < 0.2:
		b = etcd
	case x < 0.3:
		b = ""
	case x < 0.4:
		b = objectStore
	}
	until := time.Now().Add(w.between(20*time.Millisecond, 8*time.Second))
	w.say("cut %s %s until %s", a, b, until)
	w.net.cut[[2]string{a, b}] = until
	if w.chance(0.7) {
		w.net.cut[[2]string{b, a}] = until
	}
}

// wipeOf is how often a machine that crashes loses its disk.
func (w *world) wipeOf(m *machine) float64 {
	if m.role == metastore.RoleWorker {
		return w.keep.wipeWorker
	}
	return w.faults.wipe
}

// wipe takes the disk of a machine away. One log-server may lose it, once: a new one takes its place.
func (w *world) wipe(m *machine) {
	if m.role == metastore.RoleLogServer {
		if w.wiped {
			return
		}
		w.wiped = true
		m.wiped = true
		next := w.machine(fmt.Sprintf("l%d", len(w.machines)+1), id.Node(len(w.machines)+1), m.role, m.zone)
		next.disk.lies = w.mistakes.lies
		next.start()
	}
	w.say("the disk of %s is lost", m.name)
	w.wipes++
	m.lost = true
	m.disk = newDisk(w, m.name, vfs.NewCrashableMem())
}

// jump sets the clock of a machine.
func (w *world) jump(m *machine) {
	if w.faults.skew <= 0 {
		return
	}
	m.skew = time.Duration(w.rnd.Int64N(int64(2*w.faults.skew))) - w.faults.skew
	if m.now != nil {
		m.now.clock.by.Store(int64(m.offset()))
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

// restart starts what was down for long enough.
func (w *world) restart() {
	for _, m := range w.machines {
		if m.now == nil && !m.retired && !time.Now().Before(m.back) {
			m.start()
		}
	}
}

// calm ends all that goes wrong.
func (w *world) calm() {
	w.faults.loss, w.faults.twice, w.faults.late, w.faults.objects = 0, 0, 0, 0
	w.bucket.slow = time.Time{}
	w.calmed = true
	w.endpoint.out(0)
	clear(w.net.cut)
	for _, m := range w.machines {
		m.back = time.Time{}
		if m.now != nil {
			m.now.resume()
		}
	}
	w.restart()
}

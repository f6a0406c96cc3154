package placement_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/placement"
	"reprise/pkg/quorum"
)

func workers(standing placement.Standing, ids ...id.Node) (out []placement.Worker) {
	for _, n := range ids {
		out = append(out, placement.Worker{ID: n, Standing: standing})
	}
	return out
}

func property(t *testing.T, text string) quorum.Property {
	t.Helper()
	p, err := quorum.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// count counts the partitions that each worker is to hold.
func count(sets []placement.Replicas) map[id.Node]int {
	n := map[id.Node]int{}
	for _, s := range sets {
		for _, r := range s.Target() {
			n[r]++
		}
	}
	return n
}

func fresh(partitions int) []placement.Holding { return make([]placement.Holding, partitions) }

// begun has the first holder of each set lead, in an epoch of its own.
func begun(sets []placement.Replicas) []placement.Holding {
	all := make([]placement.Holding, len(sets))
	for i, s := range sets {
		all[i] = placement.Holding{Replicas: s, Epoch: 1, Leader: generation(s.Current[0], 1)}
	}
	return all
}

// standings are how all partitions stand at workers whose stores have applied and flushed that much.
func standings(all []placement.Holding, applied map[id.Node]lsn.LSN) (alive []placement.Attendant) {
	for n, at := range applied {
		a := placement.Attendant{ID: generation(n, 1)}
		for i := range all {
			s := placement.Status{Applied: at, Durable: at}
			switch {
			case all[i].Leader == a.ID:
				s.Role, s.Epoch = placement.Leads, all[i].Epoch
			case slices.Contains(all[i].All(), n):
				s.Role = placement.Follows
			}
			a.Statuses = append(a.Statuses, s)
		}
		alive = append(alive, a)
	}
	return alive
}

func TestFirstPlacementIsEven(t *testing.T) {
	for copies := 1; copies <= 3; copies++ {
		for n := copies; n <= 5; n++ {
			var ids []id.Node
			for i := range n {
				ids = append(ids, id.Node(i+3))
			}
			sets := placement.Reconfigure(fresh(24), nil, workers(placement.Takes, ids...), quorum.Flat(copies))
			for w, c := range count(sets) {
				if c > (24*copies+n-1)/n {
					t.Errorf("%d copies, %d workers: N%d has %d", copies, n, w, c)
				}
			}
			first := map[id.Node]int{}
			for _, s := range sets {
				if len(s.Current) != copies || s.Next != nil {
					t.Errorf("placed %v", s)
				}
				first[s.Current[0]]++
			}
			for w, c := range first {
				if c > 24/n+1+copies/2 {
					t.Errorf("%d copies, %d workers: N%d begins to lead %d", copies, n, w, c)
				}
			}
		}
	}
}

// One partition, led by the first of its holders; who has applied 100 is where the leader is.
func TestReconfigure(t *testing.T) {
	const k = placement.FewRecords
	set := func(ids ...id.Node) []id.Node { return ids }
	three := workers(placement.Takes, 1, 2, 3)
	with := func(n id.Node, s placement.Standing) []placement.Worker {
		out := slices.Clone(three)
		out[n-1].Standing = s
		return out
	}
	for _, row := range []struct {
		name    string
		copies  string
		holds   placement.Replicas
		leader  id.Node
		frozen  bool
		applied map[id.Node]lsn.LSN
		workers []placement.Worker
		want    placement.Replicas
	}{
		{"all is well", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100}, three, placement.Replicas{Current: set(1, 2)}},
		{"who is away for a while keeps it", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100}, with(2, placement.Keeps), placement.Replicas{Current: set(1, 2)}},
		{"who was away for long is replaced", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 3: 0}, with(2, placement.Yields), placement.Replicas{Current: set(1, 2), Next: set(1, 3)}},
		{"who drains is replaced", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 0}, with(2, placement.Yields), placement.Replicas{Current: set(1, 2), Next: set(1, 3)}},
		{"the new one has not caught up", "2", placement.Replicas{Current: set(1, 2), Next: set(1, 3)}, 1, false, map[id.Node]lsn.LSN{1: 2 * k, 2: 2 * k, 3: k - 1}, with(2, placement.Yields), placement.Replicas{Current: set(1, 2), Next: set(1, 3)}},
		{"the new one has caught up", "2", placement.Replicas{Current: set(1, 2), Next: set(1, 3)}, 1, false, map[id.Node]lsn.LSN{1: k, 2: k, 3: k}, with(2, placement.Yields), placement.Replicas{Current: set(1, 3)}},
		{"the leader drains, and is succeeded first", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 0}, with(1, placement.Yields), placement.Replicas{Current: set(1, 2)}},
		{"the leader drains, and nobody can succeed it", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 5 * k, 2: 100, 3: 0}, with(1, placement.Yields), placement.Replicas{Current: set(1, 2), Next: set(2, 3)}},
		{"nobody replaces it", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100}, []placement.Worker{{ID: 1, Standing: placement.Takes}, {ID: 2, Standing: placement.Yields}}, placement.Replicas{Current: set(1, 2)}},
		{"who is disabled does not count", "2", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100}, []placement.Worker{{ID: 1, Standing: placement.Takes}, {ID: 2, Standing: placement.Out}}, placement.Replicas{Current: set(1, 2), Next: set(1)}},
		{"and is dropped", "2", placement.Replicas{Current: set(1, 2), Next: set(1)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100}, []placement.Worker{{ID: 1, Standing: placement.Takes}, {ID: 2, Standing: placement.Out}}, placement.Replicas{Current: set(1)}},
		{"but not the last that caught up", "2", placement.Replicas{Current: set(2, 1), Next: set(1)}, 2, false, map[id.Node]lsn.LSN{1: 100, 2: 5 * k}, []placement.Worker{{ID: 1, Standing: placement.Takes}, {ID: 2, Standing: placement.Out}}, placement.Replicas{Current: set(2, 1), Next: set(1)}},
		{"not while the leader is none of them", "2", placement.Replicas{Current: set(1, 2), Next: set(2, 3)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 100}, with(1, placement.Yields), placement.Replicas{Current: set(1, 2), Next: set(2, 3)}},
		{"not while nobody leads", "2", placement.Replicas{Current: set(1, 2), Next: set(1, 3)}, 1, false, map[id.Node]lsn.LSN{2: 100, 3: 100}, with(2, placement.Yields), placement.Replicas{Current: set(1, 2), Next: set(1, 3)}},
		{"the new one is away", "2", placement.Replicas{Current: set(1, 2), Next: set(1, 3)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100}, append(with(3, placement.Keeps), placement.Worker{ID: 4, Standing: placement.Takes}), placement.Replicas{Current: set(1, 2)}},
		{"the new one is away, and the old one must go", "2", placement.Replicas{Current: set(1, 2), Next: set(1, 3)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100}, []placement.Worker{{ID: 1, Standing: placement.Takes}, {ID: 2, Standing: placement.Yields}, {ID: 3, Standing: placement.Keeps}, {ID: 4, Standing: placement.Takes}}, placement.Replicas{Current: set(1, 2), Next: set(1, 4)}},
		{"more copies", "3", placement.Replicas{Current: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 0}, three, placement.Replicas{Current: set(1, 2), Next: set(1, 2, 3)}},
		{"fewer copies", "2", placement.Replicas{Current: set(1, 2, 3)}, 1, false, map[id.Node]lsn.LSN{1: 5 * k, 2: 5 * k, 3: 5 * k}, with(3, placement.Yields), placement.Replicas{Current: set(1, 2, 3), Next: set(1, 2)}},
		{"fewer copies, one of which is behind", "2", placement.Replicas{Current: set(1, 2, 3), Next: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 5 * k, 2: 100, 3: 5 * k}, three, placement.Replicas{Current: set(1, 2, 3), Next: set(1, 2)}},
		{"fewer copies, and all have caught up", "2", placement.Replicas{Current: set(1, 2, 3), Next: set(1, 2)}, 1, false, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 100}, three, placement.Replicas{Current: set(1, 2)}},
		{"frozen", "2", placement.Replicas{Current: set(1, 2)}, 1, true, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 0}, with(2, placement.Yields), placement.Replicas{Current: set(1, 2)}},
		{"what was set goes on while frozen", "2", placement.Replicas{Current: set(1, 2), Next: set(1, 3)}, 1, true, map[id.Node]lsn.LSN{1: 100, 2: 100, 3: 100}, three, placement.Replicas{Current: set(1, 3)}},
		{"an operator's set stays", "2", placement.Replicas{Current: set(1, 2), Next: set(3, 1)}, 1, false, map[id.Node]lsn.LSN{1: 5 * k, 2: 5 * k, 3: 0}, three, placement.Replicas{Current: set(1, 2), Next: set(3, 1)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := []placement.Holding{{Replicas: row.holds, Epoch: 4, Leader: generation(row.leader, 1), PlacementFrozen: row.frozen}}
			got := placement.Reconfigure(all, standings(all, row.applied), row.workers, property(t, row.copies))[0]
			if !slices.Equal(got.Current, row.want.Current) || !slices.Equal(got.Next, row.want.Next) || (got.Next == nil) != (row.want.Next == nil) {
				t.Errorf("%+v, want %+v", got, row.want)
			}
		})
	}
}

// What has caught up in memory only would be lost with the process, and the log below it may be trimmed.
func TestCaughtUpIsOnDisk(t *testing.T) {
	all := []placement.Holding{{Replicas: placement.Replicas{Current: []id.Node{1, 2}, Next: []id.Node{1, 3}}, Epoch: 1, Leader: generation(1, 1)}}
	alive := standings(all, map[id.Node]lsn.LSN{1: 500, 2: 500, 3: 500})
	list := append(workers(placement.Takes, 1, 3), placement.Worker{ID: 2, Standing: placement.Yields})
	three := slices.IndexFunc(alive, func(a placement.Attendant) bool { return a.ID.Node == 3 })
	alive[three].Statuses[0].Durable = 499
	if got := placement.Reconfigure(all, alive, list, quorum.Flat(2))[0]; got.Next == nil {
		t.Errorf("dropped N2: %v", got)
	}
	alive[three].Statuses[0].Durable = 500
	if got := placement.Reconfigure(all, alive, list, quorum.Flat(2))[0]; !slices.Equal(got.Current, []id.Node{1, 3}) || got.Next != nil {
		t.Errorf("did not go on: %v", got)
	}
}

// A replica that follows a busy leader is behind in every moment: it has what the leader had a moment ago.
func TestABusyReplicaCatchesUp(t *testing.T) {
	all := []placement.Holding{{Replicas: placement.Replicas{Current: []id.Node{1, 2}, Next: []id.Node{1, 3}}, Epoch: 1, Leader: generation(1, 1), Mark: 70_000}}
	list := append(workers(placement.Takes, 1, 3), placement.Worker{ID: 2, Standing: placement.Yields})
	for applied, caught := range map[lsn.LSN]bool{69_999: false, 70_000: true} {
		alive := standings(all, map[id.Node]lsn.LSN{1: 90_000, 2: 70_000, 3: applied})
		if got := placement.Reconfigure(all, alive, list, quorum.Flat(2))[0]; (got.Next == nil) != caught {
			t.Errorf("at %d: %v", applied, got)
		}
	}
}

func TestZones(t *testing.T) {
	zoned := func(standing placement.Standing, zones ...string) (out []placement.Worker) {
		for i, z := range zones {
			out = append(out, placement.Worker{ID: id.Node(i + 1), Location: z, Standing: standing})
		}
		return out
	}
	two := property(t, "{zone: 2, node: 3}")
	list := zoned(placement.Takes, "eu.a", "eu.a", "eu.a", "eu.b", "eu.b", "eu.b")
	zones := func(set []id.Node, list []placement.Worker) int {
		seen := map[string]bool{}
		for _, n := range set {
			seen[list[n-1].Location] = true
		}
		return len(seen)
	}
	for i, s := range placement.Reconfigure(fresh(50), nil, list, two) {
		if len(s.Current) != 3 || zones(s.Current, list) != 2 {
			t.Errorf("partition %d lies on %v", i, s.Current)
		}
	}
	// A set in one zone is spread once another zone has workers.
	all := begun([]placement.Replicas{{Current: []id.Node{1, 2, 3}}})
	s := placement.Reconfigure(all, nil, list, two)[0]
	if len(s.Next) != 3 || zones(s.Next, list) != 2 || !slices.Contains(s.Next, 1) {
		t.Errorf("%+v", s)
	}
	// While there is one zone, it lies there.
	if s := placement.Reconfigure(fresh(1), nil, zoned(placement.Takes, "eu.a", "eu.a", "eu.a"), two)[0]; len(s.Current) != 3 {
		t.Errorf("%+v", s)
	}
	// Who replaces the only one of a zone is of that zone, or of a third one.
	list = zoned(placement.Takes, "eu.a", "eu.a", "eu.b", "eu.b", "eu.a")
	list[2].Standing = placement.Yields
	if s := placement.Reconfigure(begun([]placement.Replicas{{Current: []id.Node{1, 2, 3}}}), nil, list, two)[0]; !slices.Equal(s.Next, []id.Node{1, 2, 4}) {
		t.Errorf("%+v", s)
	}
}

// A worker that comes anew gets its share, a few partitions at a time.
func TestANewWorkerGetsItsShare(t *testing.T) {
	list := workers(placement.Takes, 1, 2, 3)
	all := begun(placement.Reconfigure(fresh(24), nil, list[:2], quorum.Flat(2)))
	moves := 0
	for round := 0; ; round++ {
		if round == 100 {
			t.Fatal("it does not end")
		}
		sets := placement.Reconfigure(all, standings(all, map[id.Node]lsn.LSN{1: 9, 2: 9, 3: 9}), list, quorum.Flat(2))
		moving, changed := 0, false
		for i := range sets {
			if sets[i].Next != nil {
				moving++
			}
			changed = changed || !slices.Equal(sets[i].Current, all[i].Current) || !slices.Equal(sets[i].Next, all[i].Next)
			all[i].Replicas = sets[i]
			if !slices.Contains(sets[i].Target(), all[i].Leader.Node) {
				all[i].Leader = generation(sets[i].Target()[0], 1) // Moves sees to that
			}
		}
		if moving > 4 {
			t.Fatalf("%d move at a time", moving)
		}
		moves += moving
		if !changed {
			break
		}
	}
	loads := map[id.Node]int{}
	for _, h := range all {
		for _, n := range h.Current {
			loads[n]++
		}
	}
	if loads[1] != 16 || loads[2] != 16 || loads[3] != 16 || moves != 16 {
		t.Errorf("loads %v after %d moves", loads, moves)
	}
}

// world is a cluster whose workers come, go, drain and catch up as rapid likes.
type world struct {
	*rapid.T
	property quorum.Property
	all      []placement.Holding
	list     []placement.Worker
	applied  map[[2]int]lsn.LSN // by worker and partition
	tail     []lsn.LSN
}

func (w *world) alive() (alive []placement.Attendant) {
	for _, x := range w.list {
		if x.Standing == placement.Keeps { // away
			continue
		}
		a := placement.Attendant{ID: generation(x.ID, 1)}
		for i := range w.all {
			h := &w.all[i]
			at := w.applied[[2]int{int(x.ID), i}]
			s := placement.Status{Applied: at, Durable: at}
			switch {
			case h.Leader == a.ID:
				s = placement.Status{Role: placement.Leads, Epoch: h.Epoch, Applied: w.tail[i], Durable: w.tail[i]}
			case slices.Contains(h.All(), x.ID):
				s.Role = placement.Follows
			}
			a.Statuses = append(a.Statuses, s)
		}
		alive = append(alive, a)
	}
	return alive
}

// caughtUp are those of a set that live and are at the tail, whoever that is.
func (w *world) caughtUp(i int, set []id.Node) (n int) {
	for _, a := range w.alive() {
		if slices.Contains(set, a.ID.Node) && a.Statuses[i].Applied+placement.FewRecords >= w.tail[i] && a.Statuses[i].Role != placement.Idle {
			n++
		}
	}
	return n
}

// step has the control plane look once: leaders move, then sets change.
func (w *world) step() (changed bool) {
	alive := w.alive()
	for i := range alive {
		alive[i].Drained = w.list[alive[i].ID.Node-1].Standing < placement.Keeps
	}
	for _, c := range append(placement.Leaders(w.all, alive), placement.Moves(w.all, alive, 0)...) {
		h := &w.all[c.Partition]
		if c.Over != h.Epoch {
			w.Fatalf("a call over epoch %d of %d", c.Over, h.Epoch)
		}
		w.applied[[2]int{int(c.Node), int(c.Partition)}] = w.tail[c.Partition]
		h.Epoch, h.Leader = h.Epoch+1, generation(c.Node, 1)
		changed = true
	}
	sets := placement.Reconfigure(w.all, w.alive(), w.list, w.property)
	for i, s := range sets {
		h := &w.all[i]
		if len(h.Current) > 0 && len(s.Current) == 0 {
			w.Fatalf("partition %d lost its last replica", i)
		}
		for _, n := range s.Next {
			if !slices.Contains(h.All(), n) && w.list[n-1].Standing != placement.Takes {
				w.Fatalf("partition %d goes to N%d, which takes none", i, n)
			}
		}
		if before, after := w.caughtUp(i, h.Current), w.caughtUp(i, s.Current); h.Epoch > 0 && after < min(before, w.property.Copies()) && !w.anyOut(h.Current) {
			w.Fatalf("partition %d has %d replicas that caught up, had %d: %+v then %+v", i, after, before, h.Replicas, s)
		}
		if len(slices.Compact(slices.Sorted(slices.Values(s.Target())))) != len(s.Target()) {
			w.Fatalf("partition %d twice on a worker: %v", i, s)
		}
		changed = changed || !slices.Equal(h.Current, s.Current) || !slices.Equal(h.Next, s.Next)
		h.Replicas = s
		if h.Epoch == 0 && len(s.Current) > 0 {
			h.Epoch, h.Leader = 1, generation(s.Current[0], 1) // it begins by itself
			changed = true
		}
	}
	return changed
}

func (w *world) anyOut(set []id.Node) bool {
	return slices.ContainsFunc(set, func(n id.Node) bool { return w.list[n-1].Standing == placement.Out })
}

// Whatever happens to workers: no set has fewer caught-up replicas than before, and once all is quiet and replicas
// catch up, the sets are as they should be and stay so.
func TestReconfigureProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"1", "2", "3", "{zone: 2, node: 3}", "{zone: 2, node: 2}"}).Draw(t, "replication")
		property, err := quorum.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		partitions := rapid.IntRange(1, 12).Draw(t, "partitions")
		w := &world{T: t, property: property, all: fresh(partitions), applied: map[[2]int]lsn.LSN{}, tail: make([]lsn.LSN, partitions)}
		for n := range rapid.IntRange(3, 6).Draw(t, "workers") {
			w.list = append(w.list, placement.Worker{ID: id.Node(n + 1), Location: fmt.Sprintf("r.%d", n%2), Standing: placement.Takes})
		}
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			n := rapid.IntRange(0, len(w.list)-1).Draw(t, "worker")
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				w.list[n].Standing = placement.Standing(rapid.IntRange(0, 3).Draw(t, "standing"))
			case 1:
				for i := range w.tail {
					w.tail[i] += lsn.LSN(rapid.IntRange(0, 3*placement.FewRecords).Draw(t, "records"))
				}
			case 2:
				for i := range w.tail {
					w.applied[[2]int{n + 1, i}] = w.tail[i]
				}
			}
			w.step()
		}
		for i := range w.list {
			if w.list[i].Standing != placement.Out {
				w.list[i].Standing = placement.Takes
			}
		}
		for round := 0; ; round++ {
			for i := range w.tail {
				for n := range w.list {
					w.applied[[2]int{n + 1, i}] = w.tail[i]
				}
			}
			if !w.step() {
				break
			}
			if round > 40*partitions {
				t.Fatalf("it does not end: %+v", w.all)
			}
		}
		w.checkRest()
	})
}

// checkRest checks what must be so when nothing changes any more.
func (w *world) checkRest() {
	takers, loads := 0, count(nil)
	for _, x := range w.list {
		if x.Standing == placement.Takes {
			takers++
		}
	}
	if takers == 0 {
		return
	}
	for i, h := range w.all {
		if h.Next != nil {
			w.Fatalf("partition %d is still on its way: %+v", i, h.Replicas)
		}
		if len(h.Current) < min(takers, w.property.Copies()) {
			w.Fatalf("partition %d lies on %v, %d could hold it", i, h.Current, takers)
		}
		for _, n := range h.Current {
			loads[n]++
			if w.list[n-1].Standing == placement.Out {
				w.Fatalf("partition %d lies on N%d, which is disabled", i, n)
			}
		}
	}
	if w.property.Factor(quorum.Zone) > 0 {
		return // the smaller zone may have to hold more
	}
	least, most := len(w.all), 0
	for _, x := range w.list {
		if x.Standing == placement.Takes {
			least, most = min(least, loads[x.ID]), max(most, loads[x.ID])
		}
	}
	if most > least+1 {
		w.Fatalf("loads %v", loads)
	}
}

// Scores decide where stored partitions lie: they must never change.
func TestScoreIsFixed(t *testing.T) {
	if got := placement.Score(7, 3); got != 0xe8475a1de504505a {
		t.Errorf("Score(7, 3) = %#x", got)
	}
}

package loglet

import (
	"fmt"

	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// recover lets a recoverer begin, ask something, give up or publish.
func (w *world) recover(k int) error {
	c := w.recoverers[k]
	if c == nil {
		if !w.chance(0.12) {
			return nil
		}
		l := w.chain[len(w.chain)-1].loglet
		set := w.set
		if w.mut == majorityMinusOne { // one copy more asked of a write quorum is one member less of an f-majority
			set = w.weakened()
		}
		w.recoverers[k] = &simRecoverer{r: NewRecovery(w.sequencers[l].seq.Ref, set), loglet: l, version: len(w.chain)}
		return nil
	}
	c.age++
	if c.age > 120 {
		w.recoverers[k] = nil
		return nil
	}
	if tail, ok, err := c.r.Done(); err != nil {
		w.recoverers[k] = nil
		if w.mut == correct && w.setup.steps > 0 {
			return violation(fmt.Sprintf("recovery of %s fails: %v", c.loglet, err))
		}
	} else if ok {
		return w.publish(k, tail)
	} else if w.mut == skipRepair && c.r.phase == digesting {
		return w.publish(k, c.r.tail)
	}
	for _, want := range c.r.Wants() {
		if w.chance(0.4) {
			w.ask(c, want)
		}
	}
	return nil
}

func (w *world) weakened() *quorum.Nodeset {
	var members []quorum.Member
	for i := range w.set.Len() {
		members = append(members, w.set.Member(i))
	}
	set, err := quorum.NewNodeset(quorum.Flat(w.property.Copies()+1), members)
	if err != nil {
		panic(err)
	}
	return set
}

func (w *world) ask(c *simRecoverer, want Want) {
	w.send(func() error {
		s := w.servers[want.Member]
		if !s.up {
			return nil
		}
		reply, err := w.answer(c, want)
		if err != nil {
			return err
		}
		w.send(func() error {
			if want.Ask == AskSeal && w.mut == lowestTail {
				if c.lowest == 0 || reply.Seal.Tail < c.lowest {
					c.lowest = reply.Seal.Tail
				}
				reply.Seal.Tail = c.lowest
				reply.Seal.Known = min(reply.Seal.Known, c.lowest)
			}
			c.r.Step(want, reply)
			return nil
		})
		return nil
	})
}

// answer is a log-server's engine for the other questions.
func (w *world) answer(c *simRecoverer, want Want) (Reply, error) {
	s := w.servers[want.Member]
	r := s.replica(c.loglet)
	ref := w.sequencers[c.loglet].seq.Ref
	switch want.Ask {
	case AskSeal:
		was := *r
		status, _ := r.Seal(ref)
		info := r.Info(ref)
		info.Status = status
		if w.mut == lostSeal && w.chance(0.3) {
			*r = was
		}
		return Reply{Seal: info}, nil
	case AskDigest:
		a := logproto.DigestAnswer{Status: logproto.Ok, Tail: r.Tail, Known: r.Known, Trimmed: r.Trimmed}
		for o := want.From; o < want.To; o++ {
			if _, ok := s.records[c.loglet][o]; ok || w.mut == repairUnordered && w.chance(0.3) {
				if n := len(a.Exists); n > 0 && a.Exists[n-1].To == o {
					a.Exists[n-1].To++
				} else {
					a.Exists = append(a.Exists, logproto.Range{From: o, To: o + 1})
				}
			}
		}
		return Reply{Digest: a}, nil
	case AskRecords:
		a := logproto.RecordsAnswer{Status: logproto.Ok, Tail: r.Tail, Known: r.Known, Trimmed: r.Trimmed}
		for o := want.From; o < want.To && len(a.Groups) < 2; o++ { // an answer is bounded
			if v, ok := s.records[c.loglet][o]; ok {
				a.Groups = append(a.Groups, logproto.Run{First: o, Count: 1, Records: encode([]uint64{v})})
			}
		}
		return Reply{Records: a}, nil
	default:
		w.repairs++
		a, err := w.store(want.Member, want.Group, id.GenerationalNode{Node: 200, Generation: 1})
		return Reply{Repair: a}, err
	}
}

// publish is the one conditional write: who comes second adopts the winner's.
func (w *world) publish(k int, tail lsn.Offset) error {
	c := w.recoverers[k]
	w.recoverers[k] = nil
	if len(w.chain) != c.version && w.mut != noCompareAndSet {
		return nil
	}
	for _, a := range w.acked {
		if a.loglet == c.loglet && a.offset >= tail {
			return violation(fmt.Sprintf("L5 acknowledged %s/%d is lost by tail %d", a.loglet, a.offset, tail))
		}
	}
	for o := lsn.FirstOffset; o < tail; o++ {
		if have, _ := w.copies(c.loglet, o); !w.set.WriteQuorum(have) {
			return violation(fmt.Sprintf("L5 %s/%d below tail %d has too few copies", c.loglet, o, tail))
		}
	}
	if old, ok := w.final[c.loglet]; ok {
		if old != tail {
			return violation(fmt.Sprintf("C3 tail of %s moved from %d to %d", c.loglet, old, tail))
		}
		return nil // C1: the segment is there
	}
	w.final[c.loglet] = tail
	base := w.chain[c.version-1].base + lsn.LSN(tail-1)
	if last := w.chain[len(w.chain)-1]; tail == lsn.FirstOffset { // an empty segment is replaced
		if base != last.base {
			return violation(fmt.Sprintf("C2 base %d replaces base %d", base, last.base))
		}
	} else if base <= last.base {
		return violation(fmt.Sprintf("C2 base %d after base %d", base, last.base))
	}
	w.extend(base)
	return nil
}

// step lets one thing happen.
func (w *world) step() error {
	q := w.sequencers[w.order[w.rnd.IntN(len(w.order))]]
	if w.chance(0.7) { // mostly the newest
		q = w.sequencers[w.order[len(w.order)-1]]
	}
	switch a := w.rnd.Float64(); {
	case a < 0.08:
		if q.alive && q.seq.Next() < 10 {
			w.appendRecords(q)
		}
	case a < 0.42:
		if q.alive {
			w.sendStore(q)
		}
	case a < 0.424:
		q.alive = false
	case a < 0.43:
		if w.mut == resumeOldLoglet && !q.alive && !q.resumed {
			w.resume(q)
		}
	case a < 0.44:
		w.crashOrRestart()
	case a < 0.445:
		w.trim()
	case a < 0.62:
		return w.recover(w.rnd.IntN(len(w.recoverers)))
	default:
		if n := len(w.messages); n > 0 {
			i := w.rnd.IntN(n)
			deliver := w.messages[i]
			w.messages[i] = w.messages[n-1]
			w.messages = w.messages[:n-1]
			return deliver()
		}
	}
	return nil
}

// run plays a history and returns the invariant that it broke.
func (w *world) run() error {
	for range w.setup.steps {
		if err := w.step(); err != nil {
			return err
		}
	}
	return w.checkReaders()
}

// checkReaders: every acknowledged record is where it was acknowledged, for every reader (G1); it was
// acknowledged once (G2: in the order of the log).
func (w *world) checkReaders() error {
	bases := map[id.Loglet]lsn.LSN{}
	for _, s := range w.chain {
		bases[s.loglet] = s.base
	}
	seen := map[lsn.LSN]uint64{}
	for _, a := range w.acked {
		at := a.offset.At(bases[a.loglet])
		if v, ok := seen[at]; ok && v != a.value {
			return violation(fmt.Sprintf("G2 two records acknowledged at LSN %d", at))
		}
		seen[at] = a.value
		_, values := w.copies(a.loglet, a.offset)
		for _, v := range values {
			if v != a.value {
				return violation(fmt.Sprintf("G1 LSN %d reads as %d, acknowledged was %d", at, v, a.value))
			}
		}
	}
	return nil
}

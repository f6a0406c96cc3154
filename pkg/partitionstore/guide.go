package partitionstore

import (
	"github.com/cockroachdb/pebble/v2"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/keyenc"
)

// How many completed invocations in a row a walk steps over before it asks the index where the next other one is: few
// where the index was of use last, for the walk is in a long row of them then.
const (
	patienceMax = 16
	patienceMin = 1
)

// activeGuide leads a walk past completed invocations.
type activeGuide struct {
	it       *pebble.Iterator // of the index
	since    uint64           // from this position on there are some that the index does not have
	passed   int              // completed ones in a row
	patience int
	led      bool // the index told where the walk is
	key      []byte
}

// OnlyActive has Next leave out completed invocations: in a long row of them it goes by the index. With LivesWith the
// fields must have the status. Call it before Next.
func (r *LifeRows) OnlyActive(s *Snapshot) {
	if r.err != nil {
		return
	}
	var meta storedv1.Meta
	if r.err = readMeta(s.snap, &meta); r.err != nil {
		return
	}
	g := &activeGuide{since: firstFresh(meta.Applied), patience: patienceMax}
	if g.it, r.err = s.snap.NewIter(bounds([]byte{kindActive})); r.err == nil {
		r.active = g
	}
}

// meet notes that the walk came to an invocation that is not completed.
func (g *activeGuide) meet() {
	if !g.led {
		g.patience = patienceMax
	}
	g.passed, g.led = 0, false
}

// pass goes on from a completed invocation.
func (r *LifeRows) pass(at life) error {
	g := r.active
	if g.passed++; g.passed < g.patience {
		return nil
	}
	g.passed = 0
	if at.incarnation >= g.since {
		return nil // the index does not tell
	}
	to, found, err := g.next(at, r.backward)
	switch {
	case err != nil:
		return err
	case found && to.incarnation < g.since:
		r.seek = appendLifeKey(r.seek[:0], to)
	case r.backward:
		r.seek = append(r.seek[:0], kindLife+1) // there are no more: behind all rows
	default:
		r.seek = keyenc.AppendUint64(append(r.seek[:0], kindLife), g.since)
	}
	g.patience, g.led = patienceMin, found
	r.ahead = true
	if !r.it.SeekGE(r.seek) {
		return r.it.Error()
	}
	return nil
}

// next is the invocation that the index has next to one that it does not have.
func (g *activeGuide) next(at life, backward bool) (l life, found bool, err error) {
	g.key = appendActiveKey(g.key[:0], at)
	if backward {
		found = g.it.SeekLT(g.key)
	} else {
		found = g.it.SeekGE(g.key)
	}
	if !found {
		return l, false, g.it.Error()
	}
	l, ok := parseActiveKey(g.it.Key())
	if !ok {
		return l, false, malformed(g.it.Key())
	}
	return l, true, nil
}

func (g *activeGuide) close() error {
	if g == nil || g.it == nil {
		return nil
	}
	it := g.it
	g.it = nil
	return it.Close()
}

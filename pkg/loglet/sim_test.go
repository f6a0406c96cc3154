package loglet

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// The simulation drives the real rules (Replica, Sequence, Recovery) with the real messages under one
// seeded scheduler: messages are lost, doubled, late and in any order; log-servers crash; sequencers
// die; recoverers race each other. What must hold is checked at each step; the names are those of the
// protocol: L1 to L8, C1 to C3, G1 to G3.

// violation is a broken invariant.
type violation string

func (v violation) Error() string { return string(v) }

const recordSize = 8 // a record of the simulation is its number

// setup is a cluster.
type setup struct {
	name        string
	replication string
	locations   []string // one for each log-server
	steps       int
}

// mutation is a mistake that the checks must find.
type mutation string

const (
	correct           mutation = ""
	storeAfterSeal    mutation = "store after seal"
	ackBeforeSync     mutation = "ack before sync"
	lostSeal          mutation = "lost seal"
	majorityMinusOne  mutation = "f-majority minus one"
	lowestTail        mutation = "lowest tail"
	skipRepair        mutation = "skip repair"
	noCompareAndSet   mutation = "no compare and set"
	resumeOldLoglet   mutation = "resume old loglet"
	holesAllowed      mutation = "holes allowed"
	wipedAnswers      mutation = "a wiped log-server answers"
	repairUnordered   mutation = "repair claims what it did not copy"
	knownOverstated   mutation = "global tail beyond the quorum"
	trimBeyondCommits mutation = "trim beyond the commits"
)

// simServer is a log-server: what is durable, which is all but the known global tail.
type simServer struct {
	up       bool
	wiped    bool
	replicas map[id.Loglet]*logproto.Replica
	records  map[id.Loglet]map[lsn.Offset]uint64
}

// simSequencer is a sequencer with its connections.
type simSequencer struct {
	loglet  id.Loglet
	seq     *logproto.Sequence
	alive   bool
	epoch   []int // of the connection to each member; answers on an older one are not heard
	values  map[lsn.Offset]uint64
	resumed bool
}

// simRecoverer is a process that recovers a loglet and wants to extend the chain.
type simRecoverer struct {
	r       *Recovery
	loglet  id.Loglet
	version int // length of the chain when it began
	age     int
	lowest  lsn.Offset // for a mutation
}

type simSegment struct {
	loglet id.Loglet
	base   lsn.LSN
}

type simAck struct {
	loglet id.Loglet
	offset lsn.Offset
	value  uint64
}

type world struct {
	rnd        *rand.Rand
	setup      setup
	mut        mutation
	property   quorum.Property
	set        *quorum.Nodeset
	servers    []*simServer
	sequencers map[id.Loglet]*simSequencer
	order      []id.Loglet // of the sequencers
	chain      []simSegment
	final      map[id.Loglet]lsn.Offset
	recoverers []*simRecoverer
	messages   []func() error
	acked      []simAck
	nextValue  uint64
	generation uint32
	repairs    int
}

func newWorld(seed uint64, s setup, m mutation) *world {
	property, err := quorum.Parse(s.replication)
	if err != nil {
		panic(err)
	}
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 0)), setup: s, mut: m, property: property,
		sequencers: map[id.Loglet]*simSequencer{}, final: map[id.Loglet]lsn.Offset{}, recoverers: make([]*simRecoverer, 2),
	}
	var members []quorum.Member
	for i, l := range s.locations {
		members = append(members, quorum.Member{Node: id.Node(i + 1), Location: l, State: storedv1.StorageState_STORAGE_STATE_READ_WRITE})
		w.servers = append(w.servers, &simServer{up: true, replicas: map[id.Loglet]*logproto.Replica{}, records: map[id.Loglet]map[lsn.Offset]uint64{}})
	}
	if w.set, err = quorum.NewNodeset(property, members); err != nil {
		panic(err)
	}
	w.extend(lsn.First)
	return w
}

// extend puts a new loglet with a new sequencer at the end of the chain.
func (w *world) extend(base lsn.LSN) {
	l := id.NewLoglet(0, uint32(len(w.order)))
	w.generation++
	ref := logproto.Ref{Loglet: l, Sequencer: id.GenerationalNode{Node: 100, Generation: w.generation}, Nonce: w.rnd.Uint64()}
	w.chain = append(w.chain, simSegment{l, base})
	w.order = append(w.order, l)
	w.sequencers[l] = &simSequencer{
		loglet: l, seq: logproto.NewSequence(ref, w.set), alive: true, epoch: make([]int, w.set.Len()), values: map[lsn.Offset]uint64{},
	}
}

func (w *world) chance(p float64) bool { return w.rnd.Float64() < p }

// send puts a message on the wire, which may lose it or double it.
func (w *world) send(deliver func() error) {
	if !w.chance(0.1) {
		w.messages = append(w.messages, deliver)
	}
	if w.chance(0.1) {
		w.messages = append(w.messages, deliver)
	}
}

func (s *simServer) replica(l id.Loglet) *logproto.Replica {
	r := s.replicas[l]
	if r == nil {
		fresh := logproto.NewReplica(l)
		r = &fresh
		s.replicas[l] = r
		s.records[l] = map[lsn.Offset]uint64{}
	}
	return r
}

func encode(values []uint64) (out []byte) {
	for _, v := range values {
		out = binary.BigEndian.AppendUint64(out, v)
	}
	return out
}

// store is a log-server's engine: the rule, then the disk, then the answer.
func (w *world) store(i int, g logproto.Group, from id.GenerationalNode) (logproto.Answer, error) {
	s := w.servers[i]
	r := s.replica(g.Loglet)
	was := *r
	switch {
	case w.mut == storeAfterSeal:
		r.Sealed = false
	case w.mut == ackBeforeSync && w.chance(0.15) && !g.Repair:
		r.Store(&g, from)
		a := r.Answer(logproto.Ok)
		*r = was
		return a, nil
	case w.mut == holesAllowed:
		r.Known = max(r.Known, g.First)
	}
	status, write := r.Store(&g, from)
	if w.mut == storeAfterSeal {
		r.Sealed = was.Sealed
	}
	if w.mut == holesAllowed {
		r.Known = max(was.Known, g.Known)
	}
	if status == logproto.Ok && was.Sealed && !g.Repair {
		return logproto.Answer{}, violation(fmt.Sprintf("L7 normal store after the seal of %s", g.Loglet))
	}
	for o := write.From; status == logproto.Ok && o < write.To; o++ {
		v := binary.BigEndian.Uint64(g.Records[int(o-g.First)*recordSize:])
		if old, ok := s.records[g.Loglet][o]; ok && old != v {
			return logproto.Answer{}, violation(fmt.Sprintf("L1 two values at %s/%d", g.Loglet, o))
		}
		s.records[g.Loglet][o] = v
	}
	return r.Answer(status), w.checkKnown(i, g.Loglet)
}

// copies is the members that hold an offset; trimmed counts, as it was decided long ago.
func (w *world) copies(l id.Loglet, o lsn.Offset) (have quorum.Set, values []uint64) {
	for i, s := range w.servers {
		r := s.replica(l)
		v, ok := s.records[l][o]
		if ok {
			values = append(values, v)
		}
		if ok || o <= r.Trimmed {
			have.Add(i)
		}
	}
	return have, values
}

// checkKnown: a known global tail is a proof that all below it is on a write quorum (L6), and what was
// trimmed was committed (L8).
func (w *world) checkKnown(i int, l id.Loglet) error {
	r := w.servers[i].replica(l)
	if r.Known == lsn.FirstOffset {
		return nil
	}
	if have, _ := w.copies(l, r.Known-1); !w.set.WriteQuorum(have) {
		return violation(fmt.Sprintf("L6 N%d believes that %s is committed up to %d", i+1, l, r.Known-1))
	}
	return nil
}

// ---- sequencer

func (w *world) appendRecords(q *simSequencer) {
	n := 1 + w.rnd.IntN(3)
	var values []uint64
	first := q.seq.Next()
	for range n {
		w.nextValue++
		q.values[first+lsn.Offset(len(values))] = w.nextValue
		values = append(values, w.nextValue)
	}
	q.seq.Append(first, uint32(n), encode(values))
}

func (w *world) sendStore(q *simSequencer) {
	i := w.rnd.IntN(w.set.Len())
	if w.chance(0.2) { // the connection breaks; what was under way may still arrive
		q.epoch[i]++
		q.seq.Lost(i)
	}
	g, number, ok := q.seq.Take(i)
	if !ok {
		return
	}
	epoch := q.epoch[i]
	if w.mut == knownOverstated {
		g.Known = g.End()
	}
	w.send(func() error {
		if !w.servers[i].up {
			return nil
		}
		a, err := w.store(i, g, g.Sequencer)
		if err != nil {
			return err
		}
		w.send(func() error { return w.stored(q, i, epoch, number, a) })
		return nil
	})
}

func (w *world) stored(q *simSequencer, i, epoch int, number uint64, a logproto.Answer) error {
	if !q.alive || epoch != q.epoch[i] {
		return nil
	}
	before := q.seq.Known()
	if !q.seq.Answered(i, number, a) {
		return nil
	}
	for o := before; o < q.seq.Known(); o++ {
		v := q.values[o]
		w.acked = append(w.acked, simAck{q.loglet, o, v})
		if tail, ok := w.final[q.loglet]; ok && o >= tail {
			return violation(fmt.Sprintf("L4 G3 ack of %s/%d after its tail %d was published", q.loglet, o, tail))
		}
		have, values := w.copies(q.loglet, o)
		if !w.set.WriteQuorum(have) { // L3 follows, as all offsets are acknowledged in order
			return violation(fmt.Sprintf("L2 ack of %s/%d without a write quorum", q.loglet, o))
		}
		for _, stored := range values {
			if stored != v {
				return violation(fmt.Sprintf("L1 ack of %s/%d with another value than is stored", q.loglet, o))
			}
		}
	}
	return nil
}

// resume lets a restarted process go on with its old loglet: the mistake that generations prevent.
func (w *world) resume(q *simSequencer) {
	known := q.seq.Known()
	old := q.values
	q.seq = logproto.NewSequence(q.seq.Ref, w.set)
	q.values = map[lsn.Offset]uint64{}
	for o := lsn.FirstOffset; o < known; o++ { // it knows what was committed
		q.values[o] = old[o]
		q.seq.Append(o, 1, encode([]uint64{old[o]}))
	}
	for i := range q.epoch {
		q.epoch[i]++
	}
	w.acked = slices.DeleteFunc(w.acked, func(a simAck) bool { return a.loglet == q.loglet }) // acknowledged again
	q.alive, q.resumed = true, true
}

// ---- log-servers

func (w *world) crashOrRestart() {
	i := w.rnd.IntN(len(w.servers))
	s := w.servers[i]
	down := 0
	for _, o := range w.servers {
		if !o.up {
			down++
		}
	}
	switch {
	case !s.up:
		s.up = true
	case down == 0:
		s.up = false
		if w.mut == wipedAnswers && w.chance(0.3) {
			s.replicas, s.records = map[id.Loglet]*logproto.Replica{}, map[id.Loglet]map[lsn.Offset]uint64{}
			s.wiped = true
		}
	}
	for _, r := range s.replicas {
		r.Known = lsn.FirstOffset // all else is durable
	}
}

func (w *world) trim() {
	l := w.order[w.rnd.IntN(len(w.order))]
	q := w.sequencers[l]
	limit := q.seq.Known()
	if tail, ok := w.final[l]; ok {
		limit = tail
	}
	if w.mut == trimBeyondCommits {
		limit = q.seq.Next()
	}
	if limit <= lsn.FirstOffset {
		return
	}
	through := lsn.Offset(1 + w.rnd.IntN(int(limit-1)))
	i := w.rnd.IntN(len(w.servers))
	w.send(func() error {
		s := w.servers[i]
		if !s.up {
			return nil
		}
		r := s.replica(l)
		if _, changed := r.Trim(q.seq.Ref, through); changed {
			for o := range s.records[l] {
				if o <= r.Trimmed {
					delete(s.records[l], o)
				}
			}
		}
		return nil
	})
}

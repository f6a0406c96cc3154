package sim_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/logserver"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// checks looks at what happens and compares it with what must hold. The names are those of the protocol: C1 to C3 of
// chains, L1 to L8 of loglets, G1 to G3 of logs, P1 to P10 of partitions.
type checks struct {
	w       *world
	repairs atomic.Int64

	mu       sync.Mutex
	loglets  map[id.Loglet]*watched
	chains   map[id.Partition]*storedv1.Chain
	epochs   map[id.Partition]*storedv1.Epoch
	since    map[id.Partition]time.Time      // when the epoch began
	last     map[id.Partition]lsn.LSN        // the highest that was acknowledged
	down     map[id.Node]map[id.Loglet]*copy // what log-servers had synced when they crashed, even if the disk was lost then
	lived    map[id.Node]*logserver.Server
	seals    map[at]bool
	under    map[*logproto.Group]under // way at a log-server
	deleted  map[at]lsn.Offset         // what log-servers said to have trimmed
	acks     int
	replayed int // stores that were compared with the log
	restored int // snapshots likewise
	trims    int
	gaps     int // that readers were told of
}

// under is a group that is under way at a log-server.
type under struct {
	node   id.Node
	sealed bool // the loglet was sealed when it came
}

// at is a loglet at a log-server.
type at struct {
	node   id.Node
	loglet id.Loglet
}

// watched is what is known of a loglet.
type watched struct {
	stored  *storedv1.Loglet
	base    lsn.LSN
	records [][]byte  // what its sequencer appended, by offset - 1
	content []uint64  // its hashes
	after   []lsn.LSN // the highest that was acknowledged in the log when it was appended
	acked   lsn.Offset
	final   lsn.Offset // tail that the chain says; 0: it is open
}

// copy is what a log-server has of a loglet.
type copy struct {
	records map[lsn.Offset]uint64
	info    logproto.Info
}

func newChecks(w *world) *checks {
	return &checks{
		w: w, loglets: map[id.Loglet]*watched{}, chains: map[id.Partition]*storedv1.Chain{}, epochs: map[id.Partition]*storedv1.Epoch{}, since: map[id.Partition]time.Time{},
		last: map[id.Partition]lsn.LSN{}, down: map[id.Node]map[id.Loglet]*copy{}, lived: map[id.Node]*logserver.Server{}, seals: map[at]bool{}, under: map[*logproto.Group]under{},
		deleted: map[at]lsn.Offset{},
	}
}

func hashOf(record []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(record) // never fails
	return h.Sum64()
}

// hashes are those of records back to back.
func hashes(records []byte) (out []uint64) {
	for len(records) > 0 {
		rec, rest, err := command.Next(records)
		if err != nil {
			return out
		}
		out, records = append(out, hashOf(rec)), rest
	}
	return out
}

// opened notes a loglet that a sequencer begins.
func (c *checks) opened(l *storedv1.Loglet, base lsn.LSN) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logletLocked(l, base)
}

func (c *checks) logletLocked(l *storedv1.Loglet, base lsn.LSN) *watched {
	x := c.loglets[id.Loglet(l.Id)]
	if x == nil {
		x = &watched{stored: l, base: base, acked: lsn.FirstOffset}
		c.loglets[id.Loglet(l.Id)] = x
	}
	return x
}

// appended notes what a sequencer appends.
func (c *checks) appended(l id.Loglet, first lsn.Offset, records []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.loglets[l]
	if int(first) != len(x.content)+1 {
		c.w.violate("L1", "loglet %s: append at %d after %d", l, first, len(x.content))
		return
	}
	for rest := bytes.Clone(records); len(rest) > 0; {
		rec, more, err := command.Next(rest)
		if err != nil {
			c.w.violate("harness", "what is appended to %s: %v", l, err)
			return
		}
		x.records, x.content, x.after = append(x.records, rec), append(x.content, hashOf(rec)), append(x.after, c.last[l.Log()])
		rest = more
	}
}

// acked are the rules for what is acknowledged.
const acked = "L2 L3"

// committed checks an acknowledgement, at the moment that a sequencer makes it.
func (c *checks) committed(l id.Loglet, tail lsn.Offset) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.loglets[l]
	if x.final != 0 && tail > x.final {
		c.w.violate("L4 G3", "loglet %s acknowledges up to %d after its tail %d was published", l, tail-1, x.final)
	}
	c.onQuorumLocked(acked, l, x.acked, tail)
	for o := x.acked; o < tail; o++ {
		if at := o.At(x.base); at <= x.after[o-1] {
			c.w.violate("G2", "LSN %d was appended after LSN %d was acknowledged", at, x.after[o-1])
		}
		c.acks++
	}
	x.acked = max(x.acked, tail)
	c.last[l.Log()] = max(c.last[l.Log()], (tail - 1).At(x.base))
}

// onQuorumLocked checks that all of [from, to) have what was appended on a write quorum of synced copies; what was never
// acknowledged, and is repaired, only on as many as log-servers that kept their disks can have (ADR 32).
func (c *checks) onQuorumLocked(rule string, l id.Loglet, from, to lsn.Offset) {
	if from >= to {
		return
	}
	x := c.loglets[l]
	set, err := logproto.NodesetOf(x.stored, c.members)
	if err != nil {
		c.w.violate(rule, "nodeset of loglet %s: %v", l, err)
		return
	}
	left, err := logproto.NodesetOf(x.stored, c.remaining)
	if err != nil {
		c.w.violate(rule, "nodeset of loglet %s: %v", l, err)
		return
	}
	copies := make([]*copy, set.Len())
	for i := range copies {
		copies[i] = c.copyLocked(set.Member(i).Node, l, from, to)
	}
	for o := from; o < to; o++ {
		var have quorum.Set
		for i, k := range copies {
			if k == nil {
				continue
			}
			h, ok := k.records[o]
			if ok && int(o) <= len(x.content) && h != x.content[o-1] {
				c.w.violate("L1", "%s has another record at %s/%d than its sequencer appended", set.Member(i).Node, l, o)
			}
			if ok || o <= k.info.Trimmed {
				have.Add(i)
			}
		}
		if !set.WriteQuorum(have) && (o < x.acked || rule == acked || !left.RepairQuorum(have)) {
			c.w.violate(rule, "%s/%d is on no write quorum", l, o)
			return
		}
	}
}

// members describes nodes for checks: states do not matter.
func (c *checks) members(nodes []id.Node) []quorum.Member {
	out := make([]quorum.Member, len(nodes))
	for i, n := range nodes {
		out[i] = quorum.Member{Node: n, State: storedv1.StorageState_STORAGE_STATE_READ_WRITE}
		if m := c.w.machineOf(n); m != nil {
			out[i].Location = m.zone
		}
	}
	return out
}

// remaining describes nodes as they are once all have noticed who lost its disk.
func (c *checks) remaining(nodes []id.Node) []quorum.Member {
	out := c.members(nodes)
	for i, n := range nodes {
		if m := c.w.machineOf(n); m != nil && m.wiped {
			out[i].State = storedv1.StorageState_STORAGE_STATE_DATA_LOSS
		}
	}
	return out
}

// copyLocked is what a log-server has synced of a loglet, now or when it crashed.
func (c *checks) copyLocked(n id.Node, l id.Loglet, from, to lsn.Offset) *copy {
	if s := c.lived[n]; s != nil {
		return c.read(n, s, l, from, to)
	}
	return c.down[n][l]
}

// read asks a log-server directly.
func (c *checks) read(n id.Node, s *logserver.Server, l id.Loglet, from, to lsn.Offset) *copy {
	x := c.loglets[l]
	ref := logproto.RefOf(x.stored)
	k := &copy{records: map[lsn.Offset]uint64{}}
	var err error
	if k.info, err = s.Info(context.Background(), ref); err != nil || k.info.Status != logproto.Ok {
		return k
	}
	to = min(to, k.info.Tail)
	for at := max(from, k.info.Trimmed+1); at < to; {
		a, err := s.Records(context.Background(), logproto.RecordsRequest{Ref: ref, From: at, To: to, BytesMax: 1 << 20})
		if err != nil {
			c.w.violate("L2", "%s cannot read loglet %s: %v", n, l, err)
			return k
		}
		for _, run := range a.Groups {
			for i, h := range hashes(run.Records) {
				k.records[run.First+lsn.Offset(i)] = h
			}
		}
		at = max(a.Next, at+1)
	}
	return k
}

// left is crashed, of one that ends by itself.
func (c *checks) left(p *process, s *logserver.Server) {
	c.mu.Lock()
	mine := c.lived[p.m.node] == s
	c.mu.Unlock()
	if mine {
		c.crashed(p.m.node)
	}
}

// crashed keeps what a log-server has synced.
func (c *checks) crashed(n id.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.lived[n]
	if s == nil {
		return
	}
	c.down[n] = map[id.Loglet]*copy{}
	for l, x := range c.loglets {
		if slices.Contains(x.stored.Nodeset, uint32(n)) {
			c.down[n][l] = c.read(n, s, l, 1, lsn.Offset(len(x.content)+1))
		}
	}
	delete(c.lived, n)
}

// started checks that a log-server that is back has all that it had synced, and the seals.
func (c *checks) started(n id.Node, s *logserver.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, was := range c.down[n] {
		now := c.read(n, s, l, 1, was.info.Tail)
		for o, h := range was.records {
			if now.records[o] != h && o > now.info.Trimmed {
				c.w.violate("L2", "%s lost %s/%d, which it had said to be synced", n, l, o)
				break
			}
		}
		if was.info.Sealed && !now.info.Sealed {
			c.w.violate("L7", "%s forgot that loglet %s is sealed", n, l)
		}
	}
	delete(c.down, n)
	c.lived[n] = s
}

// sealed notes that a log-server answered that a loglet is sealed.
func (c *checks) sealed(n id.Node, l id.Loglet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seals[at{n, l}] = true
}

// sent notes what comes to a log-server, and whether it had sealed the loglet before.
func (c *checks) sent(n id.Node, groups []logproto.Group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range groups {
		if g := &groups[i]; g.Count > 0 {
			c.under[g] = under{n, c.seals[at{n, g.Loglet}]}
		}
	}
}

// stored checks how a log-server answers groups.
func (c *checks) stored(n id.Node, groups []logproto.Group, answers []logproto.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range answers {
		g, a := &groups[i], &answers[i]
		was := c.under[g]
		delete(c.under, g)
		if g.Count == 0 || a.Status != logproto.Ok {
			continue
		}
		if was.sealed {
			c.w.violate("L7", "%s stored %s/%d after it had sealed the loglet", n, g.Loglet, g.First)
		}
		c.knownLocked(n, g.Loglet, a.Known)
	}
}

// unsynced is what of a range is on its way to the disk of a log-server: for a mistake.
func (c *checks) unsynced(n id.Node, q logproto.DigestRequest, a logproto.DigestAnswer) (out []logproto.Range) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for g, u := range c.under {
		if u.node == n && g.Loglet == q.Loglet && g.First >= a.Tail && g.End() <= q.To {
			out = append(out, logproto.Range{From: g.First, To: g.End()})
		}
	}
	return out
}

// knownLocked checks that what a log-server believes to be committed is.
func (c *checks) knownLocked(n id.Node, l id.Loglet, known lsn.Offset) {
	x := c.loglets[l]
	if x == nil || known <= max(x.acked, x.final) {
		return
	}
	c.onQuorumLocked("L6", l, x.acked, known)
}

// metadata looks at chains and epochs after each change of the metadata.
func (c *checks) metadata() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range id.Partition(c.w.setup.partitions) {
		l, err := c.w.meta.Lineage(c.w.ctx, p)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				c.w.violate("C1", "chain of partition %d: %v", p, err)
			}
			return
		}
		before := c.chains[p]
		was := before.GetSegments()
		c.chainLocked(p, l.Chain)
		changed := len(l.Chain.Segments) != len(was) || len(was) > 0 && !proto.Equal(was[len(was)-1], l.Chain.Segments[len(was)-1])
		c.epochLocked(p, l.Epoch, l.Chain, changed)
		c.trimmedLocked(p, before, l.Chain, l.Epoch)
	}
}

// epochLocked: epochs grow, and whoever puts a loglet into the chain leads the epoch of that moment.
func (c *checks) epochLocked(p id.Partition, now *storedv1.Epoch, chain *storedv1.Chain, changed bool) {
	was := c.epochs[p]
	c.epochs[p] = now
	if was.GetEpoch() != now.GetEpoch() {
		c.since[p] = time.Now()
	}
	if was.GetEpoch() > now.GetEpoch() {
		c.w.violate("C1", "epoch of partition %d falls from %d to %d", p, was.GetEpoch(), now.GetEpoch())
	}
	if k := len(chain.GetSegments()); k > 0 && changed {
		if l := chain.Segments[k-1].Loglet; l.SequencerNode != now.Node {
			c.w.violate("P3", "partition %d is led by N%d, its log is sequenced by N%d", p, now.Node, l.SequencerNode)
		}
	}
}

func (c *checks) chainLocked(p id.Partition, now *storedv1.Chain) {
	was := c.chains[p].GetSegments()
	c.chains[p] = now
	next := now.GetSegments()
	for i, s := range next {
		x := c.logletLocked(s.Loglet, lsn.LSN(s.Base))
		if i > 0 && (s.Base <= next[i-1].Base || s.Index <= next[i-1].Index) {
			c.w.violate("C2", "partition %d: segment %d at %d follows segment %d at %d", p, s.Index, s.Base, next[i-1].Index, next[i-1].Base)
		}
		if x.stored.Nonce != s.Loglet.Nonce || x.base != lsn.LSN(s.Base) {
			c.w.violate("C1", "partition %d: the loglet %s is there twice", p, id.Loglet(s.Loglet.Id))
		}
		if i+1 < len(next) {
			c.finalLocked(id.Loglet(s.Loglet.Id), lsn.LSN(next[i+1].Base))
		}
	}
	if len(was) > 0 && len(next) > 0 {
		was = was[c.cutLocked(p, was, now):]
	}
	c.appendOnlyLocked(p, was, next)
}

// appendOnlyLocked: a segment is appended, or replaces the last one, which was empty.
func (c *checks) appendOnlyLocked(p id.Partition, was, now []*storedv1.Segment) {
	same := func(a, b *storedv1.Segment) bool {
		return a.Index == b.Index && a.Base == b.Base && a.Loglet.Nonce == b.Loglet.Nonce
	}
	if len(was) == 0 {
		return
	}
	if len(now) < len(was) {
		c.w.violate("C1", "partition %d: its chain has %d segments after %d", p, len(now), len(was))
		return
	}
	if k := len(was); len(now) == k && !same(was[k-1], now[k-1]) { // replaced
		if was[k-1].Base != now[k-1].Base {
			c.w.violate("C1", "partition %d: segment %d at %d replaces segment %d at %d", p, now[k-1].Index, now[k-1].Base, was[k-1].Index, was[k-1].Base)
		}
		c.finalLocked(id.Loglet(was[k-1].Loglet.Id), lsn.LSN(now[k-1].Base))
		was, now = was[:k-1], now[:k-1]
	}
	for i := range was {
		if !same(was[i], now[i]) {
			c.w.violate("C1", "partition %d: segment %d of its chain changed", p, i)
		}
	}
	if len(now) > len(was)+1 {
		c.w.violate("C1", "partition %d: its chain grew by %d", p, len(now)-len(was))
	}
}

// finalLocked: a tail is published, once for ever, and all below it is on a write quorum.
func (c *checks) finalLocked(l id.Loglet, next lsn.LSN) {
	x := c.loglets[l]
	tail := next.In(x.base)
	switch {
	case x.final == tail:
		return
	case x.final != 0:
		c.w.violate("C3", "the tail of loglet %s moved from %d to %d", l, x.final, tail)
		return
	case x.acked > tail:
		c.w.violate("L5", "loglet %s acknowledged up to %d, and ends before %d", l, x.acked-1, tail)
	}
	x.final = tail
	c.onQuorumLocked("L5", l, lsn.FirstOffset, tail)
	c.sealedLocked(l)
}

// sealedLocked checks that an f-majority has sealed a loglet whose tail is published.
func (c *checks) sealedLocked(l id.Loglet) {
	x := c.loglets[l]
	set, err := logproto.NodesetOf(x.stored, c.members)
	if err != nil {
		c.w.violate("L4", "nodeset of loglet %s: %v", l, err)
		return
	}
	var sealed quorum.Set
	for i := range set.Len() {
		if k := c.copyLocked(set.Member(i).Node, l, 1, 1); k != nil && k.info.Sealed {
			sealed.Add(i)
		}
	}
	if set.FMajority(sealed) != quorum.Success {
		c.w.violate("L4", "the tail of loglet %s is published, and no f-majority has sealed it", l)
	}
}

// look checks what can be seen of log-servers at rest.
func (c *checks) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := make([]id.Node, 0, len(c.lived))
	for n := range c.lived {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	for _, n := range nodes {
		s := c.lived[n]
		for l, x := range c.loglets {
			if !slices.Contains(x.stored.Nodeset, uint32(n)) {
				continue
			}
			if info, err := s.Info(context.Background(), logproto.RefOf(x.stored)); err == nil && info.Status == logproto.Ok {
				c.knownLocked(n, l, info.Known)
				c.gapLocked(n.String()+" trimmed", l, info.Trimmed)
			}
		}
	}
}

// loseMax is how long a leader may act after another epoch has begun: it notices by the metadata or, cut off from that,
// because nothing commits any more.
const loseMax = 10 * time.Second

// attempt checks that who runs a handler leads, or led a moment ago.
func (c *checks) attempt(p *process, invocation string) {
	i, err := id.ParseInvocation(invocation)
	if err != nil {
		c.w.violate("harness", "an attempt of %s: %v", invocation, err)
		return
	}
	partition := id.PartitionOf(i.PartitionKey(), c.w.setup.partitions)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.epochs[partition]
	mine := id.Node(e.GetNode()) == p.self.Node && e.GetGeneration() == p.self.Generation
	if began := min(time.Since(c.since[partition]), time.Since(p.halted.last())); p.alive() && !mine && began > loseMax {
		c.w.violate("P10", "%s runs %s, although epoch %d of another began %s ago", p.name, invocation, e.GetEpoch(), began)
	}
}

// end checks why a process ended by itself.
func (c *checks) end(p *process, err error) {
	switch {
	case p.m.wiped, errs.Is(err, errs.Fenced):
	default:
		c.w.violate("P7", "%s ended by itself: %v", p.name, err)
	}
}

// reads checks what a reader finds: what was appended, and all that was acknowledged.
func (c *checks) reads(p id.Partition, first lsn.LSN, records []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, h := range hashes(records) {
		at := first + lsn.LSN(i)
		for _, x := range c.all(p) {
			if at < x.base || x.final != 0 && at >= x.final.At(x.base) {
				continue
			}
			if o := at.In(x.base); int(o) > len(x.content) || x.content[o-1] != h {
				c.w.violate("G1", "a reader finds another record at LSN %d of partition %d than was appended at %s/%d of %d, final %d", at, p, id.Loglet(x.stored.Id), o, len(x.content), x.final)
			}
		}
	}
}

// all are the loglets, in the order of the log.
func (c *checks) all(p id.Partition) (out []*watched) {
	for l, x := range c.loglets {
		if l.Log() == p {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b *watched) int { return cmp.Compare(a.stored.Id, b.stored.Id) })
	return out
}

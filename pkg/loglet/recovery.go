package loglet

import (
	"reprise/pkg/errs"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
	"reprise/pkg/quorum"
)

// Ask is a question to one member of the nodeset.
type Ask uint8

// The questions.
const (
	AskSeal    Ask = 1
	AskDigest  Ask = 2 // of [From, To)
	AskRecords Ask = 3 // [From, To)
	AskRepair  Ask = 4 // store Group
)

// Want is a question that a recovery wants asked now. Asking it twice, or late, is harmless.
type Want struct {
	Ask      Ask
	Member   int
	From, To lsn.Offset
	Group    logproto.Group
}

// Key tells wants apart.
type Key struct {
	Ask    Ask
	Member int
	From   lsn.Offset
}

// Key is what the want is about.
func (w *Want) Key() Key { return Key{w.Ask, w.Member, w.From} }

// Reply is the answer to a Want: the field of its question is set, or Err.
type Reply struct {
	Seal    logproto.Info
	Digest  logproto.DigestAnswer
	Records logproto.RecordsAnswer
	Repair  logproto.Answer
	Err     error
}

type phase uint8

const (
	sealing   phase = 1 // until an f-majority is sealed
	digesting phase = 2 // who has what of [known, tail)
	repairing phase = 3 // copy [cur, tail) to a write quorum
	done      phase = 4
)

// staleMax bounds how often a recovery asks again because what it heard contradicts itself.
const staleMax = 3

// Recovery seals a loglet, finds its tail and brings all below it to a write quorum.
//
// Records between the known global tail and the highest tail of the sealed members may or may not have
// been acknowledged, so all of them are kept. Where too many members lost their data for a write quorum, they
// are brought to all that are left: an f-majority answered, so all that was acknowledged is among them.
type Recovery struct {
	ref   logproto.Ref
	set   *quorum.Nodeset
	phase phase
	stale int
	err   error

	sealed  []*logproto.Info         // by member, answers Ok
	known   lsn.Offset               // all below are committed, as somebody proved
	tail    lsn.Offset               // highest local tail of the sealed
	digests []*logproto.DigestAnswer // by member

	cur    lsn.Offset     // all below are on a write quorum
	group  logproto.Group // what is being copied: [cur, group.End()), Count 0 while it is not read
	copied quorum.Set     // members that hold the group
	barren quorum.Set     // members that could not give records from cur
}

// NewRecovery returns the recovery of a loglet.
func NewRecovery(ref logproto.Ref, set *quorum.Nodeset) *Recovery {
	return &Recovery{
		ref: ref, set: set, phase: sealing, known: lsn.FirstOffset,
		sealed: make([]*logproto.Info, set.Len()), digests: make([]*logproto.DigestAnswer, set.Len()),
	}
}

// Done tells whether the recovery has ended, with the final tail or an error.
func (r *Recovery) Done() (tail lsn.Offset, ok bool, err error) {
	if r.err != nil {
		return 0, true, r.err
	}
	return r.tail, r.phase == done, nil
}

// Wants is what is to be asked now, in no order.
func (r *Recovery) Wants() []Want {
	if r.err != nil {
		return nil
	}
	var out []Want
	for i := range r.set.Len() {
		if !r.set.Effective(i) {
			continue
		}
		switch r.phase {
		case sealing:
			if r.sealed[i] == nil {
				out = append(out, Want{Ask: AskSeal, Member: i})
			}
		case digesting:
			if r.digests[i] == nil {
				out = append(out, Want{Ask: AskDigest, Member: i, From: r.known, To: r.tail})
			}
		case repairing:
			out = r.wantRepair(out, i)
		}
	}
	return out
}

func (r *Recovery) wantRepair(out []Want, i int) []Want {
	switch {
	case r.group.Count > 0 && !r.copied.Has(i) && r.set.Member(i).Writeable():
		return append(out, Want{Ask: AskRepair, Member: i, From: r.cur, To: r.group.End(), Group: r.group})
	case r.group.Count == 0 && r.holds(i, r.cur, r.cur+1) && !r.barren.Has(i) && len(out) == 0: // one at a time
		return append(out, Want{Ask: AskRecords, Member: i, From: r.cur, To: r.tail})
	}
	return out
}

// Step takes the reply to a want.
func (r *Recovery) Step(w Want, reply Reply) {
	if r.err != nil || r.phase == done {
		return
	}
	switch {
	case w.Ask == AskSeal && r.phase == sealing:
		r.stepSealed(w.Member, reply)
	case w.Ask == AskDigest && r.phase == digesting && w.From == r.known && w.To == r.tail:
		r.stepDigested(w.Member, reply)
	case w.Ask == AskRecords && r.phase == repairing && w.From == r.cur && r.group.Count == 0:
		r.stepRead(w.Member, reply)
	case w.Ask == AskRepair && r.phase == repairing && w.From == r.cur && r.group.Count > 0 && w.To == r.group.End():
		if reply.Err == nil && reply.Repair.Status == logproto.Ok {
			r.copied.Add(w.Member)
			r.advance()
		}
	}
}

func (r *Recovery) stepSealed(i int, reply Reply) {
	if reply.Err != nil {
		return
	}
	if reply.Seal.Status == logproto.SequencerMismatch {
		r.err = errs.Newf(errs.Fenced, "seal loglet %s: a log-server holds another life of it", r.ref.Loglet)
		return
	}
	if reply.Seal.Status != logproto.Ok || !reply.Seal.Sealed {
		return
	}
	r.sealed[i] = &reply.Seal
	r.decideTail()
}

// decideTail is the heart: nobody can commit any more once an f-majority is sealed, and every
// acknowledged record lies on a member of it.
func (r *Recovery) decideTail() {
	var answered quorum.Set
	tail := lsn.FirstOffset
	for i, info := range r.sealed {
		if info == nil {
			continue
		}
		answered.Add(i)
		tail = max(tail, info.Tail)
		r.known = max(r.known, info.Known)
	}
	if r.set.FMajority(answered) != quorum.Success {
		return
	}
	r.tail = tail
	if tail < r.known { // an answer from before what another one knows
		r.restart()
		return
	}
	var have quorum.Set // a member whose tail is there has all from the committed ones on
	for i, info := range r.sealed {
		if info != nil && info.Tail >= tail {
			have.Add(i)
		}
	}
	if tail == r.known || r.set.RepairQuorum(have) {
		r.phase = done
		return
	}
	r.phase = digesting
}

func (r *Recovery) restart() {
	r.stale++
	if r.stale > staleMax {
		r.err = errs.Newf(errs.Corrupt, "loglet %s: committed up to %d, but an f-majority holds only up to %d", r.ref.Loglet, r.known-1, r.tail-1)
		return
	}
	clear(r.sealed)
}

// advance goes on when the group is on a write quorum.
func (r *Recovery) advance() {
	if !r.set.RepairQuorum(r.copied) {
		return
	}
	r.cur = r.group.End()
	r.group, r.barren, r.copied = logproto.Group{}, quorum.Set{}, quorum.Set{}
	if r.cur >= r.tail {
		r.phase = done
	}
}

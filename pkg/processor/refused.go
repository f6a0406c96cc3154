package processor

import (
	"context"
	"slices"

	"reprise/pkg/errs"
	"reprise/pkg/invocation"
	"reprise/pkg/partition"
)

// While log-servers refuse what a partition proposes, for want of disk space, it takes no new requests;
// what it has proposed waits with its callers, and is stored once there is space. A read needs no record:
// an unsealed loglet, asked for after the read came, proves that what is applied here is the newest.

var errUnproved = errs.Newf(errs.Unavailable, "the log did not say in time who leads the partition; retry")

var errRefused = errs.Newf(errs.Unavailable, "the log takes nothing new: the disks of log-servers are nearly full")

// takeRefused is what becomes of a request meanwhile. Any goroutine may call it.
func (l *Loop) takeRefused(p *part, c *call) error {
	if !c.read {
		return errRefused
	}
	l.mail.do(func() {
		if p.tenure == nil || !p.tenure.leading {
			c.lost()
			return
		}
		if len(p.reads) >= l.node.cfg.CallsMax {
			c.answer(nil, errRefused)
			return
		}
		p.reads = append(p.reads, c)
		l.proveNext(p)
	})
	return nil
}

// refuse begins or ends the refusal.
func (l *Loop) refuse(p *part, refused bool) {
	p.refused.Store(refused)
	if t := p.tenure; refused && t != nil && t.leading {
		for i := range t.inflight {
			t.inflight[i].notes = l.prove(p, t.inflight[i].notes)
		}
	}
}

// prove takes the reads out of notes, which stays the caller's. Their records are stored some time, for nobody.
func (l *Loop) prove(p *part, notes []note) []note {
	kept := notes[:0]
	for _, n := range notes {
		if n.call.read {
			p.reads = append(p.reads, n.call)
		} else {
			kept = append(kept, n)
		}
	}
	l.proveNext(p)
	return kept
}

// proveNext asks once for all reads that wait, unless a question is under way: it began before them.
func (l *Loop) proveNext(p *part) {
	if p.proving != nil || len(p.reads) == 0 {
		return
	}
	tenure := p.tenure
	p.proving, p.reads = p.reads, nil
	p.proveBy = l.nowMillis() + l.node.cfg.ProofTimeout.Milliseconds()
	l.node.background("prove leadership", func(ctx context.Context) error {
		err := l.node.log.Unsealed(ctx, tenure.described)
		l.mail.do(func() {
			asked := p.proving
			p.proving = nil
			for _, c := range asked {
				p.answerRead(tenure, c, err)
			}
			l.proveNext(p)
		})
		return nil
	})
}

// boundProof has no read wait longer for an answer to a question. Those that come later, and would have to wait
// for the next one, are told the same until it is answered.
func (p *part) boundProof(now int64) {
	p.proveBy = min(p.proveBy, now+p.loop.node.cfg.ProofTimeout.Milliseconds()) // the clock may be set back
	if p.proving == nil || now < p.proveBy {
		return
	}
	late := slices.Concat(p.proving, p.reads)
	p.proving, p.reads = p.proving[:0], nil
	for _, c := range late {
		if !c.gone {
			c.answer(nil, errUnproved)
		}
	}
}

// loseReads answers the reads that nobody has asked for yet.
func (l *Loop) loseReads(p *part) {
	for _, c := range p.reads {
		if !c.gone {
			c.lost()
		}
	}
	p.reads = nil
}

// answerRead answers from the rows, once it is proved that they are the newest.
func (p *part) answerRead(t *tenure, c *call, err error) {
	switch {
	case c.gone:
		return
	case p.tenure != t:
		c.lost()
		return
	case err == nil:
		var inv *invocation.Invocation
		if inv, err = p.store.Invocation(c.id); err == nil {
			t.settle(c, partition.Lookup(inv))
			return
		}
	}
	c.answer(nil, errs.With(errs.Unavailable, err))
}

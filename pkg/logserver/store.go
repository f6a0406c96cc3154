package logserver

import (
	"cmp"
	"slices"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/logstore"
	"reprise/pkg/lsn"
)

// groupBytesMax bounds what is joined under one key.
const groupBytesMax = 1 << 20

// joined is consecutive groups of a frame that become one key.
type joined struct {
	lg    *loglet
	first lsn.Offset
	end   lsn.Offset
	bytes int
}

// frame decides the groups of a frame. Their answers are completed after the sync.
func (c *committer) frame(o *op) error {
	f := o.frame
	f.Answers = f.Answers[:0]
	var j joined
	for i := range f.Groups {
		g := &f.Groups[i]
		lg, err := c.touch(g.Loglet)
		if err != nil {
			return err
		}
		if g.Count == 0 {
			if o.conn.from == g.Sequencer {
				before := lg.staged.Known
				lg.staged.Release(g.Ref, g.Known)
				lg.raised(before)
			}
			f.Answers = append(f.Answers, logproto.Answer{Status: logproto.Ok})
			continue
		}
		status, write, err := c.decideGroup(lg, g, o.conn.from)
		if err != nil {
			return err
		}
		f.Answers = append(f.Answers, logproto.Answer{Status: status})
		c.s.metrics.group(status, g)
		if status != logproto.Ok || write.From >= write.To {
			continue
		}
		records := g.Records
		if write.From != g.First {
			part, err := logstore.Cut(logproto.Run{First: g.First, Count: g.Count, Records: g.Records}, write.From, write.To)
			if err != nil {
				return err
			}
			records = part.Records
		}
		if j.lg != lg || j.end != write.From || j.bytes > groupBytesMax {
			if err := c.put(&j); err != nil {
				return err
			}
			j = joined{lg: lg, first: write.From}
		}
		c.parts = append(c.parts, records)
		j.end, j.bytes = write.To, j.bytes+len(records)
	}
	return c.put(&j)
}

// put writes what was joined.
func (c *committer) put(j *joined) error {
	if j.lg == nil {
		return nil
	}
	err := c.batch.Group(j.lg.staged.Loglet, j.first, uint32(j.end-j.first), c.parts...)
	j.lg.wrote(logproto.Range{From: j.first, To: j.end})
	clear(c.parts)
	c.parts = c.parts[:0]
	c.groups++
	c.records += uint32(j.end - j.first)
	j.lg = nil
	return err
}

func (l *loglet) wrote(r logproto.Range) {
	if n := len(l.fresh); n > 0 && l.fresh[n-1].To == r.From {
		l.fresh[n-1].To = r.To
		return
	}
	l.fresh = append(l.fresh, r)
}

func (c *committer) decideGroup(lg *loglet, g *logproto.Group, from id.GenerationalNode) (logproto.Status, logproto.Range, error) {
	if logproto.CheckCount(g.Records, g.Count) != nil {
		return logproto.Malformed, logproto.Range{}, nil
	}
	if c.s.refuses(g) {
		if lg.staged.Sealed && !g.Repair && lg.staged.Knows(g.Ref) {
			return logproto.Sealed, logproto.Range{}, nil
		}
		return logproto.Disabled, logproto.Range{}, nil
	}
	identified, before := lg.staged.Identified, lg.staged.Known
	status, write := lg.staged.Store(g, from)
	lg.raised(before)
	if status == logproto.Ok && !identified {
		return status, write, c.batch.Identity(g.Ref)
	}
	return status, write, nil
}

// raised notes whether the known global tail was raised; it is written some time.
func (l *loglet) raised(before lsn.Offset) {
	if l.staged.Known != before {
		l.keptKnown = false
	}
}

// repair writes those records of a group that are not there yet.
func (c *committer) repair(call *call) error {
	g := &call.group
	lg, err := c.touch(g.Loglet)
	if err != nil {
		return err
	}
	var write logproto.Range
	if call.status, write, err = c.decideGroup(lg, g, id.GenerationalNode{}); err != nil {
		return err
	}
	if c.s.metrics.group(call.status, g); call.status != logproto.Ok {
		return nil
	}
	rd, err := c.s.store.Reader(g.Loglet)
	if err != nil {
		return err
	}
	c.ranges, err = rd.Ranges(write.From, write.To, c.ranges[:0])
	if err != nil {
		_ = rd.Close() // the first error is the one to tell
		return err
	}
	if err := rd.Close(); err != nil {
		return err
	}
	c.ranges = append(c.ranges, lg.fresh...)
	c.repairs = true
	for _, miss := range missing(write, c.ranges) {
		part, err := logstore.Cut(logproto.Run{First: g.First, Count: g.Count, Records: g.Records}, miss.From, miss.To)
		if err != nil {
			return errs.With(errs.Internal, err) // the lengths were checked
		}
		if err := c.batch.Group(g.Loglet, miss.From, part.Count, part.Records); err != nil {
			return err
		}
		lg.wrote(miss)
		c.groups++
		c.records += part.Count
	}
	return nil
}

// missing is what of r is in none of have.
func missing(r logproto.Range, have []logproto.Range) []logproto.Range {
	slices.SortFunc(have, func(a, b logproto.Range) int { return cmp.Compare(a.From, b.From) })
	var out []logproto.Range
	at := r.From
	for _, h := range have {
		if h.From >= r.To {
			break
		}
		if h.From > at {
			out = append(out, logproto.Range{From: at, To: h.From})
		}
		at = max(at, h.To)
	}
	if at < r.To {
		out = append(out, logproto.Range{From: at, To: r.To})
	}
	return out
}

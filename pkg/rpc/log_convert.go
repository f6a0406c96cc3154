package rpc

import (
	logv1 "reprise/api/log/v1"
	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

func toRef(r logproto.Ref) *logv1.Ref {
	return &logv1.Ref{
		Loglet: uint64(r.Loglet), SequencerNode: uint32(r.Sequencer.Node), SequencerGeneration: r.Sequencer.Generation, Nonce: r.Nonce,
	}
}

func fromRef(r *logv1.Ref) logproto.Ref {
	return logproto.Ref{
		Loglet:    id.Loglet(r.GetLoglet()),
		Sequencer: id.GenerationalNode{Node: id.Node(r.GetSequencerNode()), Generation: r.GetSequencerGeneration()},
		Nonce:     r.GetNonce(),
	}
}

func fillGroup(dst *logv1.Group, g *logproto.Group) {
	dst.Loglet = uint64(g.Loglet)
	dst.SequencerNode = uint32(g.Sequencer.Node)
	dst.SequencerGeneration = g.Sequencer.Generation
	dst.Nonce = g.Nonce
	dst.First = uint32(g.First)
	dst.Count = g.Count
	dst.Known = uint32(g.Known)
	dst.Records = g.Records
}

func fromGroup(g *logv1.Group) logproto.Group {
	return logproto.Group{
		Ref: logproto.Ref{
			Loglet:    id.Loglet(g.GetLoglet()),
			Sequencer: id.GenerationalNode{Node: id.Node(g.GetSequencerNode()), Generation: g.GetSequencerGeneration()},
			Nonce:     g.GetNonce(),
		},
		First: lsn.Offset(g.GetFirst()), Count: g.GetCount(), Known: lsn.Offset(g.GetKnown()), Records: g.GetRecords(),
	}
}

func fillAnswer(dst *logv1.Answer, a logproto.Answer) {
	dst.Status = logv1.Status(a.Status)
	dst.Sealed = a.Sealed
	dst.Tail = uint32(a.Tail)
	dst.Known = uint32(a.Known)
}

func fromStatus(s logv1.Status) logproto.Status {
	if s < 0 || s > logv1.Status_STATUS_MALFORMED {
		return logproto.Dropped // of a newer release: only Ok stored anything
	}
	return logproto.Status(s)
}

func fromAnswer(a *logv1.Answer) logproto.Answer {
	return logproto.Answer{
		Status: fromStatus(a.GetStatus()), Sealed: a.GetSealed(), Tail: lsn.Offset(a.GetTail()), Known: lsn.Offset(a.GetKnown()),
	}
}

func toInfo(i logproto.Info) *logv1.InfoResponse {
	return &logv1.InfoResponse{
		Status: logv1.Status(i.Status), Sealed: i.Sealed, Tail: uint32(i.Tail), Known: uint32(i.Known), Trimmed: uint32(i.Trimmed),
	}
}

func fromInfo(i *logv1.InfoResponse) logproto.Info {
	return logproto.Info{
		Status: fromStatus(i.GetStatus()), Sealed: i.GetSealed(), Tail: lsn.Offset(i.GetTail()),
		Known: lsn.Offset(i.GetKnown()), Trimmed: lsn.Offset(i.GetTrimmed()),
	}
}

func toRecords(a logproto.RecordsAnswer) *logv1.RecordsResponse {
	out := &logv1.RecordsResponse{
		Status: logv1.Status(a.Status), Tail: uint32(a.Tail), Known: uint32(a.Known), Trimmed: uint32(a.Trimmed), Next: uint32(a.Next),
	}
	for _, g := range a.Groups {
		out.Runs = append(out.Runs, &logv1.Run{First: uint32(g.First), Count: g.Count, Records: g.Records})
	}
	return out
}

func fromRecords(a *logv1.RecordsResponse) logproto.RecordsAnswer {
	out := logproto.RecordsAnswer{
		Status: fromStatus(a.GetStatus()), Tail: lsn.Offset(a.GetTail()), Known: lsn.Offset(a.GetKnown()),
		Trimmed: lsn.Offset(a.GetTrimmed()), Next: lsn.Offset(a.GetNext()),
	}
	for _, g := range a.GetRuns() {
		out.Groups = append(out.Groups, logproto.Run{First: lsn.Offset(g.GetFirst()), Count: g.GetCount(), Records: g.GetRecords()})
	}
	return out
}

func toDigest(a logproto.DigestAnswer) *logv1.DigestResponse {
	out := &logv1.DigestResponse{Status: logv1.Status(a.Status), Tail: uint32(a.Tail), Known: uint32(a.Known), Trimmed: uint32(a.Trimmed)}
	for _, e := range a.Exists {
		out.Exists = append(out.Exists, &logv1.Range{From: uint32(e.From), To: uint32(e.To)})
	}
	return out
}

func fromDigest(a *logv1.DigestResponse) logproto.DigestAnswer {
	out := logproto.DigestAnswer{
		Status: fromStatus(a.GetStatus()), Tail: lsn.Offset(a.GetTail()), Known: lsn.Offset(a.GetKnown()), Trimmed: lsn.Offset(a.GetTrimmed()),
	}
	for _, e := range a.GetExists() {
		out.Exists = append(out.Exists, logproto.Range{From: lsn.Offset(e.GetFrom()), To: lsn.Offset(e.GetTo())})
	}
	return out
}

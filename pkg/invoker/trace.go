package invoker

import (
	"encoding/hex"

	"reprise/pkg/host"
	"reprise/pkg/id"
)

// Positions in a traceparent of version 00: 00-<32 hex>-<16 hex>-<2 hex>.
const (
	traceIDAt, traceIDEnd = 3, 35
	traceFlagsAt          = 53
	traceParentLen        = 55
	traceSampled          = "01"
)

// traceParent is the context of an attempt: the trace of the request that began the invocation, else one that
// is made of its id and so the same in each attempt, and a new span.
func traceParent(parent string, i id.Invocation, rand host.Rand) string {
	span := rand.Uint64()
	for span == 0 { // means none
		span = rand.Uint64()
	}
	b := make([]byte, 0, traceParentLen)
	b = append(b, "00-"...)
	flags := traceSampled
	if len(parent) == traceParentLen { // the ingress has checked the rest
		b, flags = append(b, parent[traceIDAt:traceIDEnd]...), parent[traceFlagsAt:]
	} else {
		b = hex.AppendEncode(b, i[8:])
	}
	b = append(b, '-')
	var bytes [8]byte
	for n := range bytes {
		bytes[n] = byte(span >> (8 * n))
	}
	b = hex.AppendEncode(b, bytes[:])
	b = append(b, '-')
	return string(append(b, flags...))
}

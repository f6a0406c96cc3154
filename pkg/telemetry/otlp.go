package telemetry

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"reprise/pkg/span"
)

// spanTextMax bounds a text of a span.
const spanTextMax = 4 << 10

// Flags of a span beside those of W3C: whether the parent is of another process is known, and it is.
const (
	flagParentKnown  = 0x100
	flagParentRemote = 0x200
)

// slab makes the messages of a batch, a few allocations for all of them.
type slab struct {
	pairs  []commonv1.KeyValue
	values []commonv1.AnyValue
	texts  []commonv1.AnyValue_StringValue
}

func (s *slab) attributes(from []attribute.KeyValue) []*commonv1.KeyValue {
	out := make([]*commonv1.KeyValue, len(from))
	for i := range from {
		pair, value := &s.pairs[0], &s.values[0]
		s.pairs, s.values = s.pairs[1:], s.values[1:]
		switch from[i].Value.Type() {
		case attribute.INT64:
			value.Value = &commonv1.AnyValue_IntValue{IntValue: from[i].Value.AsInt64()}
		default: // there are texts and numbers
			text := &s.texts[0]
			s.texts = s.texts[1:]
			text.StringValue = clipped(from[i].Value.AsString())
			value.Value = text
		}
		pair.Key, pair.Value = string(from[i].Key), value
		out[i] = pair
	}
	return out
}

// request is the message that has a batch. It borrows it.
func request(batch []span.Span, r *resourcev1.Resource) []*tracev1.ResourceSpans {
	attributes := 0
	for i := range batch {
		attributes += len(batch[i].Attributes) + len(batch[i].EventAttributes)
	}
	s := slab{pairs: make([]commonv1.KeyValue, attributes), values: make([]commonv1.AnyValue, attributes), texts: make([]commonv1.AnyValue_StringValue, attributes)}
	all, out := make([]tracev1.Span, len(batch)), make([]*tracev1.Span, len(batch))
	for i := range batch {
		out[i] = &all[i]
		s.fill(&all[i], &batch[i])
	}
	return []*tracev1.ResourceSpans{{
		Resource:   r,
		ScopeSpans: []*tracev1.ScopeSpans{{Scope: &commonv1.InstrumentationScope{Name: "reprise"}, Spans: out}},
	}}
}

func (s *slab) fill(to *tracev1.Span, from *span.Span) {
	to.TraceId, to.SpanId = from.At.Trace[:], from.At.Span[:]
	to.Flags = uint32(trace.FlagsSampled) | flagParentKnown
	if from.Parent.Valid() {
		to.ParentSpanId, to.Flags = from.Parent.Span[:], to.Flags|flagParentRemote
	}
	if text := from.Parent.State; text != "" {
		if state, err := trace.ParseTraceState(text); err == nil { // one that is malformed is not passed on
			to.TraceState = state.String()
		}
	}
	to.Name, to.Kind = clipped(from.Name), tracev1.Span_SpanKind(from.Kind)
	to.StartTimeUnixNano, to.EndTimeUnixNano = nanos(from.From), nanos(from.To)
	to.Attributes = s.attributes(from.Attributes)
	if from.Event != "" {
		to.Events = []*tracev1.Span_Event{{TimeUnixNano: to.EndTimeUnixNano, Name: from.Event, Attributes: s.attributes(from.EventAttributes)}}
	}
	to.Status = &tracev1.Status{}
	if from.Outcome.Failure != "" {
		to.Status.Code, to.Status.Message = tracev1.Status_STATUS_CODE_ERROR, clipped(from.Outcome.Failure)
	}
}

func nanos(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

// clipped is a text that is valid UTF-8, as the format wants it, and not too long.
func clipped(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), spanTextMax)], "")
}

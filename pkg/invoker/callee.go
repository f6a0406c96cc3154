package invoker

import (
	"errors"
	"sync"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

// callee resolves the target of a Call or OneWayCall: which invocation it makes or joins, and what the
// schema says about it. It is called by readers; a.mu is held.
func (a *attempt) callee(f serviceproto.Frame) (*storedv1.Callee, *failure) {
	c, err := serviceproto.ParseCall(f)
	if err != nil {
		return nil, violation(err)
	}
	h, err := a.v.schema().Handler(c.Service, c.Handler)
	switch {
	case errors.Is(err, schema.ErrUnknownService):
		return nil, failuref(serviceproto.DocUnknownCallee, "%s of %s/%s: no such service is registered", f.Type, c.Service, c.Handler)
	case err != nil:
		return nil, failuref(serviceproto.DocUnknownCallee, "%s of %s/%s: the service has no such handler", f.Type, c.Service, c.Handler)
	case h.Service.Deprecated:
		return nil, failuref(serviceproto.DocDeprecated, "%s of %s/%s: its deployment %s speaks no protocol version that this server has; upgrade its SDK",
			f.Type, c.Service, c.Handler, h.Service.Deployment)
	case c.Key != "" && !h.Keyed():
		return nil, failuref(serviceproto.DocPrecondition, "%s of %s/%s with a key, but it is a plain service", f.Type, c.Service, c.Handler)
	}
	which := a.calleeID(h, &c)
	completion, journal := h.Retentions(c.IdempotencyKey != nil)
	return &storedv1.Callee{
		Id: which[:],
		Facts: &storedv1.InvokeFacts{
			Target: h.Target(c.Key), IdempotencyKey: c.IdempotencyKey,
			CompletionRetentionMs: completion.Milliseconds(), JournalRetentionMs: journal.Milliseconds(),
			ExecuteAtMs: c.InvokeTime, TraceParent: a.traceParent, TraceState: a.traceState,
		},
	}, nil
}

func (a *attempt) calleeID(h *schema.Handler, c *serviceproto.Call) id.Invocation {
	switch {
	case h.IsWorkflowRun():
		return id.WorkflowInvocation(h.Service.Name, c.Key)
	case c.IdempotencyKey != nil:
		return id.IdempotentInvocation(h.Service.Name, c.Key, h.Keyed(), h.Name, *c.IdempotencyKey)
	}
	var random [10]byte
	a.v.host.Rand.Read(random[:])
	u := id.NewULID(host.Millis(a.v.host.Clock), random)
	if h.Keyed() {
		return id.FreshInvocation(id.Hash(c.Key), u)
	}
	return id.FreshInvocation(a.v.buckets.pick(h.Service.Name, a.partition, a.partitions, a.v.host.Rand.Uint64()), u)
}

// buckets knows which buckets of a plain service lie in a partition. Any bucket is a legal home of a
// call without an idempotency key; one in the caller's own partition needs no outbox.
type buckets struct {
	// mu guards known. It is a leaf.
	mu    sync.RWMutex
	known map[bucketKey][]id.PartitionKey
}

type bucketKey struct {
	service   string
	partition id.Partition
}

// pick returns one of them, or any bucket if there is none.
func (b *buckets) pick(service string, p id.Partition, partitions uint32, random uint64) id.PartitionKey {
	key := bucketKey{service, p}
	b.mu.RLock()
	keys, ok := b.known[key]
	b.mu.RUnlock()
	if !ok {
		for n := range uint16(id.Buckets) {
			if k := id.BucketKey(service, n); id.PartitionOf(k, partitions) == p {
				keys = append(keys, k)
			}
		}
		b.mu.Lock()
		b.known[key] = keys
		b.mu.Unlock()
	}
	if len(keys) == 0 {
		return id.BucketKey(service, uint16(random%id.Buckets))
	}
	return keys[random%uint64(len(keys))]
}

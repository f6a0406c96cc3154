package metastore

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

// operation is how the contract calls a request for metadata.
type operation uint8

const (
	opGet operation = iota
	opGetVersion
	opPut
	opDelete
)

var operationNames = [...]string{opGet: "get", opGetVersion: "get_version", opPut: "put", opDelete: "delete"}

// operationMetrics are looked up once.
type operationMetrics struct {
	completed, failed prometheus.Counter
	duration          *host.Histogram
}

func (m *operationMetrics) count(took time.Duration, err error) {
	m.duration.Observe(took.Seconds())
	if err != nil {
		m.failed.Inc()
		return
	}
	m.completed.Inc()
}

// newOperations registers the families of one side, client or server; suffix is the unit of its durations.
func newOperations(reg prometheus.Registerer, side, suffix string) (all [len(operationNames)]operationMetrics) {
	for op, name := range operationNames {
		help := "Requests of this process to " + name + " metadata, by outcome."
		if side == "server" {
			help = "Requests to " + name + " metadata that the member in this process answered, by outcome."
		}
		if operation(op) == opGetVersion {
			help += " There are none: values are read with their version."
		}
		total := host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "restate_metadata_" + side + "_" + name + "_total", Help: help,
		}, []string{"status"}))
		all[op] = operationMetrics{
			completed: total.WithLabelValues("completed"), failed: total.WithLabelValues("failed"),
			duration: host.NewHistogram(reg, "restate_metadata_"+side+"_"+name+"_duration"+suffix, "How long they took, in seconds.", host.Seconds),
		}
	}
	return all
}

// counted counts what goes to a KV.
type counted struct {
	KV
	clock host.Clock
	ops   [len(operationNames)]operationMetrics

	conflicts prometheus.Counter // or nil
}

func newCounted(kv KV, clock host.Clock, ops [len(operationNames)]operationMetrics) *counted {
	return &counted{KV: kv, clock: clock, ops: ops}
}

// uncounted is what it counts for.
func uncounted(kv KV) KV {
	for {
		c, ok := kv.(*counted)
		if !ok {
			return kv
		}
		kv = c.KV
	}
}

// Read implements KV.
func (c *counted) Read(ctx context.Context, ranges ...Range) ([][]Item, int64, error) {
	began := c.clock.Now()
	items, revision, err := c.KV.Read(ctx, ranges...)
	c.ops[opGet].count(c.clock.Now().Sub(began), err)
	return items, revision, err
}

// Txn implements KV. One that puts anything is a put, whatever it deletes besides.
func (c *counted) Txn(ctx context.Context, conds []Cond, writes []Write) (bool, int64, error) {
	op := opGet
	for _, w := range writes {
		if !w.Delete {
			op = opPut
			break
		}
		op = opDelete
	}
	began := c.clock.Now()
	ok, revision, err := c.KV.Txn(ctx, conds, writes)
	c.ops[op].count(c.clock.Now().Sub(began), err)
	if err == nil && !ok && c.conflicts != nil {
		c.conflicts.Inc()
	}
	return ok, revision, err
}

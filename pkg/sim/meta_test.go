package sim_test

import (
	"context"
	"fmt"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/metastore"
)

// etcd is the name under which the metadata store is reached. The store itself never fails: what it promises is a quorum's.
const etcd = "etcd"

// kv is the metadata store as one process reaches it.
type kv struct {
	w *world
	p *process
}

var _ metastore.KV = kv{}

func (k kv) Read(ctx context.Context, ranges ...metastore.Range) ([][]metastore.Item, int64, error) {
	type read struct {
		items    [][]metastore.Item
		revision int64
	}
	r, err := call(ctx, k.w, k.p, etcd, "read "+ranges[0].Key, func(ctx context.Context, _ *process) (r read, err error) {
		r.items, r.revision, err = k.w.fake.Read(ctx, ranges...)
		return r, err
	})
	if err != nil {
		return nil, 0, errs.With(errs.Unavailable, err)
	}
	return r.items, r.revision, nil
}

func (k kv) Txn(ctx context.Context, conds []metastore.Cond, writes []metastore.Write) (bool, int64, error) {
	return k.w.mistakes.takeOver(ctx, k, conds, writes)
}

func (k kv) txn(ctx context.Context, conds []metastore.Cond, writes []metastore.Write) (bool, int64, error) {
	type done struct {
		ok       bool
		revision int64
	}
	d, err := call(ctx, k.w, k.p, etcd, "txn "+conds[0].Key, func(ctx context.Context, _ *process) (d done, err error) {
		d.ok, d.revision, err = k.w.fake.Txn(ctx, conds, writes)
		if d.ok {
			k.w.check.metadata()
		}
		return d, err
	})
	return d.ok, d.revision, err
}

func (k kv) Watch(ctx context.Context, prefix string, from int64, f func([]metastore.Event) error) error {
	o := &order{}
	return k.w.fake.Watch(ctx, prefix, from, func(events []metastore.Event) error {
		arrived := make(chan error, 1)
		k.w.net.post(&message{
			from: etcd, to: k.p.name, what: fmt.Sprintf("event %s %d", events[0].Key, events[0].Modified), order: o,
			arrive: func() { arrived <- nil }, lose: func() { arrived <- errReset },
		})
		select {
		case err := <-arrived:
			if err != nil {
				return err
			}
			return f(events)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// Hold keeps a key for ttl after the process died, as a lease does.
func (k kv) Hold(ctx context.Context, key string, value []byte, ttl time.Duration, held func()) error {
	gctx, granted := context.WithTimeout(ctx, ttl)
	_, _, err := k.Read(gctx, metastore.Range{Key: key}) // the lease is asked for
	if granted(); err != nil {
		return err
	}
	hctx, cancel := context.WithCancel(k.w.ctx)
	k.p.get(func() { k.p.leases = append(k.p.leases, lease{ttl, cancel}) })
	ended := make(chan error, 1)
	k.w.group.Go("hold", func(context.Context) error {
		defer cancel()
		ended <- k.w.fake.Hold(hctx, key, value, ttl, held)
		return nil
	})
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		if k.p.alive() {
			cancel()
			return nil
		}
		k.w.net.post(&message{from: etcd, to: etcd, what: "end of the lease of " + k.p.name, certain: true, delay: func() time.Duration { return ttl }, arrive: cancel})
		return nil
	}
}

package rpc

import (
	"sync"

	"reprise/pkg/command"
	"reprise/pkg/id"
)

// own is the worker of this process, which is asked without the fabric for what it leads. Like those who wait for a peer, those
// who wait for it are told when a partition moves, whatever the worker does: its disk may hang.
type own struct {
	worker Worker

	// mu guards what follows, and the numbers of waiters. Never held across a call of the worker or a callback.
	mu   sync.Mutex
	sent map[uint64]*waiter // by number
	next uint64             // number of the next request, from 1
}

func newOwn(w Worker) *own { return &own{worker: w, sent: map[uint64]*waiter{}, next: 1} }

// submit hands the record over. On an error nothing happened and w is not answered.
func (o *own) submit(w *waiter, record []byte) error {
	if w.want == 0 {
		return o.worker.Accept(w.partition, record, w.acked)
	}
	o.mu.Lock()
	number := o.next
	w.number = number
	o.next++
	o.sent[number] = w
	o.mu.Unlock()
	err := o.worker.Submit(o, number, command.Request{ID: w.id, Record: record, Want: w.want}, func(out *command.Outcome, err error) {
		if o.drop(number) {
			w.answer(out, err)
		}
	})
	if err != nil && !o.drop(number) {
		return nil // the partition moved meanwhile: it is answered
	}
	return err
}

// drop tells whether the request was waited for, and ends that.
func (o *own) drop(number uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.sent[number]
	delete(o.sent, number)
	return ok
}

// forget drops a waiter whose caller has left; its request goes on.
func (o *own) forget(w *waiter) {
	o.mu.Lock()
	number := w.number
	_, ok := o.sent[number]
	delete(o.sent, number)
	o.mu.Unlock()
	if ok {
		o.worker.Leave(o, number, w.id)
	}
}

// failMoved answers those who wait for partitions that have another leader now.
func (o *own) failMoved(moved func(id.Partition) bool) {
	o.mu.Lock()
	var lost []*waiter
	for n, w := range o.sent {
		if moved(w.partition) {
			delete(o.sent, n)
			lost = append(lost, w)
		}
	}
	o.mu.Unlock()
	for _, w := range lost {
		o.worker.Leave(o, w.number, w.id)
		w.answer(nil, errMoved(w.partition))
	}
}

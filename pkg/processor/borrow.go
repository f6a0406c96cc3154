package processor

import (
	"reprise/pkg/lsn"
	"reprise/pkg/partitionstore"
)

// borrow lends the store to another goroutine than its owner's until that calls back; nil if it is not open.
func (p *part) borrow() (s *partitionstore.Store, back func()) {
	p.using.RLock()
	return p.lentLocked()
}

// tryBorrow is borrow that gives up where the store is being closed: it is flushed then, and to wait for that would hold up all others.
func (p *part) tryBorrow() (s *partitionstore.Store, back func()) {
	if !p.using.TryRLock() {
		return nil, nil
	}
	return p.lentLocked()
}

func (p *part) lentLocked() (s *partitionstore.Store, back func()) {
	if s = p.opened.Load(); s == nil {
		p.using.RUnlock()
		return nil, nil
	}
	return s, p.using.RUnlock
}

// applied is what the store has applied and committed; 0 if it is not open. It does not wait.
func (p *part) applied() lsn.LSN {
	if s := p.opened.Load(); s != nil {
		return s.AppliedLSN()
	}
	return 0
}

// unflushed is how many commands a restart would have to apply again. A store that is being closed has none.
func (p *part) unflushed() int64 {
	s, back := p.tryBorrow()
	if s == nil {
		return 0
	}
	defer back()
	return s.Unflushed()
}

// closeStore closes a store that is not led, once nobody borrows or reads it.
func (p *part) closeStore() error {
	p.using.Lock()
	s := p.store
	p.store = nil
	p.opened.Store(nil)
	p.using.Unlock()
	p.loop.node.metrics.openStores.Dec()
	p.loop.node.memory.Wake()
	return s.Close()
}

package partitionstore

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/invocation"
)

// entry is an invocation in memory.
type entry struct {
	inv     *invocation.Invocation // nil: deleted in the open view
	life    life                   // whose rows are stored
	stored  bool                   // there are rows
	indexed bool                   // there may be an index row
	fresh   bool                   // it is in the store's fresh queue
	dirty   bool                   // the open view has a newer row
	touched bool                   // the open view used it
	idle    bool                   // it is in the idle queue
}

// cache holds decoded invocations: those that the open view touched, and of the others the invoked ones
// and a few that wait. Results never depend on what it holds.
type cache struct {
	entries map[id.Invocation]*entry
	idle    []id.Invocation // oldest first; may name some that are idle no more
	idleMax int
	max     int
}

func newCache(cfg Config) cache {
	return cache{entries: map[id.Invocation]*entry{}, idleMax: cfg.IdleMax, max: cfg.ActiveMax + cfg.IdleMax}
}

// settle decides what becomes of an entry after its view was committed.
func (c *cache) settle(i id.Invocation, e *entry) {
	e.touched = false
	switch {
	case e.inv == nil || e.inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_COMPLETED:
		delete(c.entries, i)
		e.inv = nil // the fresh queue may hold the entry a while
	case e.inv.Row.Status == storedv1.InvocationStatus_INVOCATION_STATUS_INVOKED:
		e.idle = false
	case !e.idle:
		e.idle = true
		c.idle = append(c.idle, i)
	}
}

// trim forgets what is over the bounds. No view is open.
func (c *cache) trim() {
	for len(c.idle) > c.idleMax {
		i := c.idle[0]
		c.idle = c.idle[1:]
		if e, ok := c.entries[i]; ok && e.idle {
			delete(c.entries, i)
			e.inv = nil // the fresh queue may hold the entry a while
		}
	}
	if len(c.entries) <= c.max {
		return
	}
	for i, e := range c.entries { // any order: it only costs reads
		if len(c.entries) <= c.max {
			return
		}
		if !e.idle {
			delete(c.entries, i)
		}
	}
}

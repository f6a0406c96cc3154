package metastore

import (
	"sync"
	"time"
)

// limit is how long a member may take for something: little, as another one is asked next; twice as much each time that it was
// not enough, as all of them may be slow; and little again once one was quick.
type limit struct {
	least, most time.Duration

	mu  sync.Mutex
	now time.Duration // 0: the least
}

// current is what the limit is now.
func (l *limit) current() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.now, l.least)
}

// grow says that the limit was exceeded.
func (l *limit) grow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = min(2*max(l.now, l.least), l.most)
}

// ease says that a member was quick.
func (l *limit) ease() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = 0
}

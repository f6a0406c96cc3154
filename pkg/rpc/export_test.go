package rpc

import "time"

// SetSilence says how long workers may be silent.
func (c *ScanClient) SetSilence(d time.Duration) { c.silence = d }

// Tracked is how many requests and callers a client keeps account of.
func (c *WorkerClient) Tracked() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.peers {
		p.mu.Lock()
		n += len(p.sent) + len(p.left) + len(p.queue)
		p.mu.Unlock()
	}
	return n
}

// Package logservertest runs log-servers in memory, with crashes and cuts, for tests of what talks to them.
//
//	c := logservertest.New(t, 3)
//	p := c.Peer(self) // is a sequencer.Dialer and loglet.Servers
//	c.Crash(2)        // loses what was not synced; c.Start(2) brings it back
package logservertest

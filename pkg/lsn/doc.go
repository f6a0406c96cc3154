// Package lsn has the positions of the replicated log: LSN in a log, Offset in a loglet, Epoch of a leader.
package lsn

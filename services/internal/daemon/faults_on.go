//go:build faults

package daemon

import (
	"os"

	"reprise/pkg/host"
	lent "reprise/pkg/host/faulty"
)

// faulty has the clock and the disk of this process fail as a folder says, if there is one.
func faulty(h host.Host) host.Host {
	if dir := os.Getenv("REPRISE_FAULTS"); dir != "" {
		return lent.Wrap(h, dir)
	}
	return h
}

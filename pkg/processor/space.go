package processor

import (
	"context"
	"log/slog"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

// spaceInterval is how often the free space is looked at.
const spaceInterval = 500 * time.Millisecond

var errDiskFull = errs.Newf(errs.Unavailable, "the disk of this node is nearly full")

// watchSpace has new requests refused while the disk with the stores is nearly full: Pebble ends the process
// on a disk that is. A log-server on the same disk stops before, at the whole reserve.
func (n *Node) watchSpace(ctx context.Context) error {
	timer := n.host.Clock.NewTimer(spaceInterval)
	defer timer.Stop()
	for {
		n.checkSpace()
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
			timer.Reset(spaceInterval)
		}
	}
}

func (n *Node) checkSpace() {
	u, err := n.host.FS.GetDiskUsage(n.cfg.Dir)
	if err != nil {
		return // there is no store yet, or the file system cannot tell
	}
	reserve := host.Reserve(n.cfg.ReserveBytes, u.TotalBytes)
	low := reserve / 4 * 3
	if n.full.Load() {
		low = reserve // lest it stops again at once
	}
	full := u.AvailBytes < low
	if n.full.Swap(full) == full {
		return
	}
	if full {
		n.host.Log.Error("disk is nearly full: no new requests are taken until space is freed",
			slog.Uint64(logkey.Bytes, u.AvailBytes), slog.Uint64(logkey.Limit, low), slog.String(logkey.Node, n.self.String()))
		return
	}
	n.host.Log.Info("disk has space again: requests are taken", slog.Uint64(logkey.Bytes, u.AvailBytes), slog.String(logkey.Node, n.self.String()))
}

package processor

import (
	"context"

	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// send hands a message to the leader of its target: here if that is this node, else through a peer.
// acked is called by any goroutine, once, unless send returns an error; it must not block.
func (n *Node) send(target id.Partition, record []byte, acked func(error)) error {
	err := n.deliver(target, record, acked)
	if err == nil || !errs.Is(err, errs.NotLeader) || n.peers == nil {
		return err
	}
	return n.sendRemote(target, record, acked)
}

// remoteQueueMax bounds the messages that wait for one remote partition.
const remoteQueueMax = 1024

// remote sends to one partition that another node leads, one after the other: that keeps the order.
type remote struct {
	queue chan remoteMessage // capacity remoteQueueMax; never closed
}

type remoteMessage struct {
	record []byte
	acked  func(error)
}

func (n *Node) sendRemote(target id.Partition, record []byte, acked func(error)) error {
	n.mu.Lock()
	r, ok := n.remotes[target]
	if !ok {
		r = &remote{queue: make(chan remoteMessage, remoteQueueMax)}
		n.remotes[target] = r
		group := n.group
		group.Go("messages to a remote partition", func(ctx context.Context) error { return n.runRemote(ctx, target, r) })
	}
	n.mu.Unlock()
	select {
	case r.queue <- remoteMessage{record: record, acked: acked}:
		return nil
	default:
		return errFull
	}
}

func (n *Node) runRemote(ctx context.Context, target id.Partition, r *remote) error {
	for {
		select {
		case m := <-r.queue:
			m.acked(n.peers.Deliver(ctx, target, m.record))
		case <-ctx.Done():
			return nil
		}
	}
}

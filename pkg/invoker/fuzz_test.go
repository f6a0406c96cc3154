package invoker

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/partition/partitiontest"
)

// countedConn counts what is asked of the endpoint.
type countedConn struct {
	*instantConn
	requests *atomic.Int32
}

func (c countedConn) Write(p []byte) (int, error) {
	c.requests.Add(1)
	return c.instantConn.Write(p)
}

// FuzzAttempt has an endpoint answer each attempt with the same bytes, with the real state machine behind:
// nothing that is proposed for it may be refused there, and all that attempts held comes back.
func FuzzAttempt(f *testing.F) {
	add := func(object bool, frames ...[]byte) { f.Add(object, bytes.Join(frames, nil)) }
	out, end := partitiontest.Output("x"), partitiontest.End()
	for _, object := range []bool{false, true} {
		add(object, out, end)
		add(object, partitiontest.Run(1), proposal(1, "x"), out, end)
		add(object, proposal(7, "x"), proposal(7, "y"), partitiontest.Suspension([]uint32{7, 9}, []uint32{1, 17}))
		add(object, partitiontest.SetState("k", "v"), partitiontest.Sleep(1, 5), partitiontest.Suspension([]uint32{1}, nil))
		add(object, call("S", "other", ""), call("O", "h", "k"), partitiontest.Suspension([]uint32{1, 2}, nil))
		add(object, errorMessage(&servicev1.Error{Code: 500, Message: "no", Behavior: 2}))
		add(object, flagged(partitiontest.Run(1)), partitiontest.RunDone(1, "x"))
		add(object, out, out, end, end)
	}
	f.Fuzz(func(t *testing.T, keyed bool, body []byte) {
		if len(body) > 16<<10 {
			return // one DATA frame
		}
		var requests atomic.Int32
		l := newLoop(t, "http://127.0.0.1:1", func(l *loop, _ *storedv1.Deployment) {
			l.cfg.MessageBytesMax, l.cfg.ConcurrentMax = 1<<20, 4
			l.cfg.Dial = func(context.Context, string, bool) (net.Conn, error) {
				return countedConn{newInstantConn(body), &requests}, nil
			}
		})
		target := service("h")
		if keyed {
			target = object("h", "key")
		}
		i := l.invoke(target, "in")
		l.until("an end, or enough", func() bool {
			s := l.status(i)
			return s == paused || s == suspended || s == completed || l.results[i] != nil || requests.Load() > 30
		})
		l.hold = true // calls may have started calls, each of which starts more
		l.v.StopPartition(0)
		l.until("all given back", func() bool {
			n, held := l.v.limits.Held()
			return n == 0 && held == 0 && len(l.v.runs) == 0
		})
	})
}

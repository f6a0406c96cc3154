package rpc

import (
	"context"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/host"
)

// connections count those between daemons. One carries everything, so there is one swimlane.
type connections struct{ incoming, outgoing, droppedIn, droppedOut prometheus.Counter }

const swimlane = "GENERAL"

func newConnections(reg prometheus.Registerer) *connections {
	vector := func(name, help string) *prometheus.CounterVec {
		return host.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"direction", "swimlane"}))
	}
	created := vector("restate_network_connection_created_total", "Connections between daemons that were made.")
	dropped := vector("restate_network_connection_dropped_total", "Connections between daemons that ended. That of an outgoing one is noticed when the next one is made.")
	return &connections{
		incoming: created.WithLabelValues("incoming", swimlane), outgoing: created.WithLabelValues("outgoing", swimlane),
		droppedIn: dropped.WithLabelValues("incoming", swimlane), droppedOut: dropped.WithLabelValues("outgoing", swimlane),
	}
}

// dialled counts the connections of one gRPC client connection, of which one lives at a time.
type dialled struct {
	counts *connections
	reach  *reach

	mu   sync.Mutex // guards live
	live bool
}

// dial is for gRPC.
func (d *dialled) dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := d.reach.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	d.ended()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = true
	d.counts.outgoing.Inc()
	return c, nil
}

// ended says that the connection is no more, if there was one.
func (d *dialled) ended() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live {
		d.live = false
		d.counts.droppedOut.Inc()
	}
}

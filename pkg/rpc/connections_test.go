package rpc_test

import (
	"testing"

	dto "github.com/prometheus/client_model/go"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/rpc"
)

// counted is the value of a family in one direction.
func counted(t *testing.T, h host.Host, name, direction string) float64 {
	t.Helper()
	families, err := h.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if has(m, direction) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s %s", direction, name)
	return 0
}

func has(m *dto.Metric, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetValue() == value {
			return true
		}
	}
	return false
}

// Connections between daemons are counted at both ends, when they are made and when they end; those of scrapers are not.
func TestConnectionsAreCounted(t *testing.T) {
	const created, dropped = "restate_network_connection_created_total", "restate_network_connection_dropped_total"
	f := startFabric(t, rpc.FabricConfig{})
	here := hosttest.Real(2)
	peers := rpc.NewLogPeers(func() []*storedv1.Node { return []*storedv1.Node{{Id: 7, Address: "http://" + f.addr}} })
	peers.Measure(here)
	for range 2 { // over one connection
		conn, err := peers.Conn(7)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := clusterv1.NewNodeServiceClient(conn).Ident(t.Context(), &clusterv1.IdentRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	get(t, "http://"+f.addr+"/health")
	check := func(when string, wantCreated, wantDropped float64) {
		t.Helper()
		for direction, h := range map[string]host.Host{"outgoing": here, "incoming": f.host} {
			if c, d := counted(t, h, created, direction), counted(t, h, dropped, direction); c != wantCreated || d != wantDropped {
				t.Errorf("%s, %s: %v created, %v dropped; want %v, %v", when, direction, c, d, wantCreated, wantDropped)
			}
		}
	}
	check("connected", 1, 0)
	if err := peers.Close(); err != nil {
		t.Fatal(err)
	}
	f.stop() // its side of the connection has ended then
	check("closed", 1, 1)
}

package metastore_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
)

func provision(t *testing.T, s *metastore.Store) {
	t.Helper()
	if _, err := s.Provision(t.Context(), &storedv1.Cluster{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	h := hosttest.New(hosttest.NewClock(), 1)
	kv := metatest.NewFake()
	s := metastore.New(kv, "c", h)
	if _, err := s.Cluster(t.Context()); err == nil {
		t.Fatal("there is a cluster")
	}
	check := func(get, put string) {
		t.Helper()
		want := ""
		for _, op := range []struct{ name, help, n string }{
			{"delete", "", "0"}, {"get", "", get}, {"get_version", " There are none: values are read with their version.", "0"}, {"put", "", put},
		} {
			name := "restate_metadata_client_" + op.name + "_total"
			want += "# HELP " + name + " Requests of this process to " + op.name + " metadata, by outcome." + op.help + "\n# TYPE " + name + " counter\n" +
				name + `{status="completed"} ` + op.n + "\n" + name + `{status="failed"} 0` + "\n"
		}
		err := testutil.GatherAndCompare(h.Metrics, strings.NewReader(want), "restate_metadata_client_delete_total", "restate_metadata_client_get_total",
			"restate_metadata_client_get_version_total", "restate_metadata_client_put_total")
		if err != nil {
			t.Error(err)
		}
	}
	check("1", "0")
	provision(t, s)
	check("2", "1")
	if n, err := testutil.GatherAndCount(h.Metrics, "restate_metadata_client_put_duration_seconds"); n != 1 || err != nil {
		t.Errorf("%d histograms of puts: %v", n, err)
	}
}

// What a member answers, by direct call or over a socket, is counted, and how it stands is shown.
func TestMemberIsMeasured(t *testing.T) {
	h := hosttest.Real(1)
	e, err := metastore.OpenEmbedded(t.Context(), metastore.EmbedConfig{Name: "n1", Dir: t.TempDir(), PeerURL: "http://127.0.0.1:1", Token: "test"}, h)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	provision(t, metastore.New(e.KV(), "c", h))
	families, err := h.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for _, name := range []string{
		"restate_metadata_server_get_total", "restate_metadata_server_put_total", "restate_metadata_server_replicated_applied_lsn",
		"restate_metadata_server_replicated_committed_lsn", "restate_metadata_server_replicated_leader_id", "restate_metadata_server_replicated_snapshot_size_bytes",
		"restate_metadata_server_replicated_snapshot_bytes", "etcd_server_has_leader",
	} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "etcd_debugging") || strings.HasPrefix(name, "grpc_") {
			t.Errorf("%s is shown", name)
		}
	}
}

package processor_test

import (
	"slices"
	"strconv"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"reprise/pkg/id"
)

// series are the values of a family by the values of its labels, joined with slashes; of a histogram the counts.
func (n *worker) series(name string) map[string]float64 {
	n.w.t.Helper()
	families, err := n.metrics.Gather()
	must(n.w.t, err)
	all := map[string]float64{}
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
	if i < 0 {
		return all
	}
	for _, m := range families[i].GetMetric() {
		key := ""
		for _, l := range m.GetLabel() {
			key += "/" + l.GetValue()
		}
		all[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return all
}

func (n *worker) shows(name, labels string, want float64) {
	n.w.t.Helper()
	if got, ok := n.series(name)[labels]; !ok || got != want {
		n.w.t.Errorf("%s{%s} of %s is %v (%t), not %v", name, labels, n.self, got, ok, want)
	}
}

// What a leader and a follower do shows, as does that they cease to.
func TestMetricsOfLeadersAndFollowers(t *testing.T) {
	w := newWorld(t, 2, 1)
	a, b := w.start("a"), w.start("b")
	w.both(a, b)
	keys := []string{w.keyIn(0, 0), w.keyIn(1, 0)}
	const calls = 20
	for i := range calls {
		a.want(add(keys[i%2]), strconv.Itoa(i), "", strconv.Itoa(i/2+1))
	}
	b.caughtUpWith(a)
	eventually(w.t, "the follower has applied all calls", func() bool { // what the leader says of itself may be a turn old
		return b.series("restate_partition_apply_command_duration_seconds")["/Invoke/0"] >= calls
	})
	a.shows("restate_num_partitions", "", 2)
	a.shows("restate_num_active_partitions", "", 2)
	a.shows("restate_num_active_partition_leaders", "", 2)
	b.shows("restate_num_active_partitions", "", 2)
	b.shows("restate_num_active_partition_leaders", "", 0)
	a.shows("restate_partition_store_num_open", "", 2)
	a.shows("restate_partition_apply_command_duration_seconds", "/Invoke/1", calls)
	a.shows("restate_partition_apply_command_duration_seconds", "/Invoke/0", 0)
	b.shows("restate_partition_apply_command_duration_seconds", "/Invoke/0", calls)
	b.shows("restate_partition_apply_command_duration_seconds", "/Invoke/1", 0)
	a.shows("restate_partition_handle_leader_action_total", "/Invoke", calls)
	b.shows("restate_partition_handle_leader_action_total", "/Invoke", 0)
	a.shows("restate_partition_applied_lsn_lag", "/1", 0)
	b.shows("restate_partition_applied_lsn_lag", "/1", 0)
	b.shows("restate_partition_num_unknown_applied_lsn_lag", "", 0)
	a.shows("restate_partition_blocked_flare", "/0/version_barrier", 0)
	if records := a.series("restate_partition_record_committed_to_read_latency_seconds")["/1"]; records < 2*calls {
		t.Errorf("%v records were applied by the leader", records)
	}
	if bytes := a.series("restate_network_service_accepted_request_bytes_total")["/PartitionLeaderService"]; bytes == 0 {
		t.Error("the bytes of requests are not counted")
	}
	a.shows("restate_memory_pool_usage_bytes", "/partition-leader-rpc", 0) // all is applied
	a.shows("restate_partition_stop_total", "/0/normal", 0)
	for p := range id.Partition(2) {
		must(t, b.Lead(p, 1))
	}
	b.leads(2)
	a.leads(0)
	eventually(t, "a ceases to lead", func() bool {
		stops := 0.0
		for _, n := range a.series("restate_partition_stop_total") {
			stops += n
		}
		return stops >= 2
	})
	b.shows("restate_num_active_partition_leaders", "", 2)
	for _, stage := range []string{"/seal", "/claim", "/replay", "/announce"} {
		if n := b.series("reprise_processor_takeover_stage_seconds")[stage]; n < 2 {
			t.Errorf("stage %s of take-overs of b: %v", stage, n)
		}
	}
	starts := b.series("restate_partition_start_total")
	if starts["/0"] < 2 || starts["/1"] < 2 { // it followed, and leads
		t.Errorf("starts of b: %v", starts)
	}
}

// Messages between partitions are counted, and none is left in flight.
func TestMetricsOfMessages(t *testing.T) {
	w := newWorld(t, 2, 1)
	n := w.start("a")
	n.shows("restate_partition_shuffle_inflight", "/0", 0)
	n.shows("restate_partition_shuffle_message_total", "/0", 0)
	key := w.keyIn(1, 0)
	n.want(relay, w.nameIn(0, relay, "relay"), key, "1")
	eventually(t, "the message was taken", func() bool { return n.series("restate_partition_shuffle_message_total")["/0"] >= 1 })
	eventually(t, "nothing is in flight", func() bool {
		all := n.series("restate_partition_shuffle_inflight")
		return all["/0"] == 0 && all["/1"] == 0
	})
}

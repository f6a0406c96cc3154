package metastore

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"google.golang.org/grpc"

	"reprise/pkg/host"
)

// served counts what the member of this process answers over gRPC. What the process itself asks goes by direct call, to a
// counted KV with the same counters.
type served struct {
	clock host.Clock
	ops   [len(operationNames)]operationMetrics
}

func newServed(h host.Host) *served {
	return &served{clock: h.Clock, ops: newOperations(h.Metrics, "server", "")}
}

// intercept is a gRPC interceptor.
func (s *served) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	op, ok := operationOf(req)
	if !ok {
		return handle(ctx, req)
	}
	began := s.clock.Now()
	resp, err := handle(ctx, req)
	s.ops[op].count(s.clock.Now().Sub(began), err)
	return resp, err
}

func operationOf(req any) (op operation, ok bool) {
	switch r := req.(type) {
	case *pb.RangeRequest:
		return opGet, true
	case *pb.PutRequest:
		return opPut, true
	case *pb.DeleteRangeRequest:
		return opDelete, true
	case *pb.TxnRequest:
		op = opGet
		for _, x := range r.Success {
			switch {
			case x.GetRequestPut() != nil:
				return opPut, true
			case x.GetRequestDeleteRange() != nil:
				op = opDelete
			}
		}
		return op, true
	default:
		return 0, false
	}
}

// memberMetrics show the etcd member of a process: under the names of the contract as far as they fit, and under etcd's own.
type memberMetrics struct {
	server *etcdserver.EtcdServer
}

func raft(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("restate_metadata_server_replicated_"+name, help, nil, nil)
}

var (
	raftApplied   = raft("applied_lsn", "Raft index that the member has applied.")
	raftCommitted = raft("committed_lsn", "Raft index that the member knows to be committed.")
	raftLeader    = raft("leader_id", "Id of the etcd member that leads; 0: none does, and nothing can be changed.")
	raftSize      = raft("snapshot_size_bytes", "Size of the member's database.")
	raftTerm      = raft("snapshot_bytes", "Term of the member. The name is that of the contract.")
)

// Describe implements prometheus.Collector. It leaves out etcd's own.
func (memberMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{raftApplied, raftCommitted, raftLeader, raftSize, raftTerm} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m memberMetrics) Collect(ch chan<- prometheus.Metric) {
	one := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	one(raftApplied, float64(m.server.AppliedIndex()))
	one(raftCommitted, float64(m.server.CommittedIndex()))
	one(raftLeader, float64(m.server.Leader()))
	one(raftTerm, float64(m.server.Term()))
	if b := m.server.Backend(); b != nil {
		one(raftSize, float64(b.Size()))
	}
}

// etcdMetrics shows etcd's own metrics, which are global ones of its packages.
type etcdMetrics struct{ from prometheus.Gatherer }

// Describe implements prometheus.Collector: what there is, only etcd knows.
func (etcdMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (e etcdMetrics) Collect(ch chan<- prometheus.Metric) {
	families, err := e.from.Gather()
	if err != nil && len(families) == 0 {
		ch <- prometheus.NewInvalidMetric(raft("etcd", "etcd's own metrics."), err)
		return
	}
	for _, f := range families {
		if !shown(f) {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
			}
			ch <- forwarded{prometheus.NewDesc(f.GetName(), f.GetHelp(), labels, nil), m}
		}
	}
}

// shown tells which of etcd's metrics are shown: those that are not for its debugging, and have the suffix of counters if they are some,
// and only then.
func shown(f *dto.MetricFamily) bool {
	name := f.GetName()
	if !strings.HasPrefix(name, "etcd_") || strings.HasPrefix(name, "etcd_debugging_") {
		return false
	}
	return strings.HasSuffix(name, "_total") == (f.GetType() == dto.MetricType_COUNTER)
}

type forwarded struct {
	desc *prometheus.Desc
	m    *dto.Metric
}

// Desc implements prometheus.Metric.
func (f forwarded) Desc() *prometheus.Desc { return f.desc }

// Write implements prometheus.Metric.
func (f forwarded) Write(out *dto.Metric) error {
	out.Label, out.Gauge, out.Counter, out.Histogram, out.Summary, out.Untyped = f.m.Label, f.m.Gauge, f.m.Counter, f.m.Histogram, f.m.Summary, f.m.Untyped
	return nil
}

package rpc_test

import (
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/certs"
	"reprise/pkg/certs/certstest"
	"reprise/pkg/command"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/loglet"
	"reprise/pkg/logserver/logservertest"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
	"reprise/pkg/sequencer"
)

// BenchmarkAppend is the way of a record from the log writer to two of three log-servers on loopback, without a disk, and back: plain and with TLS. What
// counts is cpu-us/op, of both sides together.
func BenchmarkAppend(b *testing.B) {
	a := certstest.New(b, "ours")
	for _, recordBytes := range []int{300, 16 << 10} {
		for _, secure := range []bool{false, true} {
			b.Run(fmt.Sprintf("bytes=%d/tls=%t", recordBytes, secure), func(b *testing.B) {
				var m *certs.Mutual
				if secure {
					m = openMutual(b, a.Files(b, b.TempDir(), loopback), true)
				}
				benchAppend(b, recordBytes, m)
			})
		}
	}
}

func benchAppend(b *testing.B, recordBytes int, m *certs.Mutual) {
	c := logservertest.New(b, 3)
	nodes := secureLogFabric(b, c, 3, m)
	var w *sequencer.Writer
	secureLogDialer(b, logWriter, logCluster, nodes, m, func(d *rpc.LogDialer) lifecycle.Part {
		w = sequencer.NewWriter(sequencer.Default(), logWriter, d, host.New(slog.New(slog.DiscardHandler)))
		return w
	})
	l, err := loglet.NewLoglet(5, 2, logWriter, &metastore.Snapshot{Cluster: &storedv1.Cluster{Replication: "{node: 2}"}, Nodes: nodes}, 99)
	if err != nil {
		b.Fatal(err)
	}
	e := &logEvents{tails: make(chan lsn.Offset, 1000), failed: make(chan error, 1)}
	lg, err := w.Open(l, e)
	if err != nil {
		b.Fatal(err)
	}
	next := lsn.FirstOffset
	payload := make([]byte, recordBytes)
	one := func() {
		rec, err := command.Append(nil, command.Header{Kind: command.Step}, nil, payload)
		if err != nil {
			b.Fatal(err)
		}
		command.Stamp(rec, id.Loglet(l.Id), lsn.LSN(next), 1, 1, 1)
		lg.Append(next, 1, rec)
		next++
		w.Flush()
		e.upTo(b, next)
	}
	one() // the connections are there
	before := processCPU(b)
	for b.Loop() {
		one()
	}
	b.ReportMetric(float64((processCPU(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
}

// processCPU is what this process has had of the processors.
func processCPU(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

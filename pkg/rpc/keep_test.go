package rpc_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/rpc"
	"reprise/pkg/snapshot"
)

// keeper notes what it is asked to do.
type keeper struct{ asked []string }

func (k *keeper) Snapshot(_ context.Context, p id.Partition, atLeast lsn.LSN) (*snapshot.Latest, error) {
	k.asked = append(k.asked, fmt.Sprintf("snapshot %d at least %d", p, atLeast))
	if atLeast > 50 {
		return nil, errs.Newf(errs.Conflict, "Applied LSN below the target LSN")
	}
	newest, oldest := snapshot.Ref{SnapshotID: "snap_1x", MinAppliedLSN: 50}, snapshot.Ref{MinAppliedLSN: 40}
	return &snapshot.Latest{Ref: newest, Retained: []snapshot.Ref{newest, oldest}}, nil
}

func (k *keeper) Trim(_ context.Context, p id.Partition, through lsn.LSN, force bool) (lsn.LSN, error) {
	k.asked = append(k.asked, fmt.Sprintf("trim %d through %d, %t", p, through, force))
	return max(through, 7), nil
}

// What an operator asks a metadata daemon for is done by the leader.
func TestKeeper(t *testing.T) {
	w := newWorkers(t)
	s, err := rpc.NewWorkerServer(rpc.DefaultWorker(), workerOne, func() uint64 { return workerCluster }, fakeWorker{})
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{}
	s.ServeKeeper(k)
	w.start(workerOne, s)
	o := rpc.NewOperatorServer(rpc.Operated{Keepers: rpc.NewKeeperClient(id.GenerationalNode{Node: 9, Generation: 1}, w, w)})
	w.lead(workerOne)
	made, err := o.CreateSnapshot(t.Context(), &clusterv1.CreateSnapshotRequest{Partition: 3, MinLsn: 45, Trim: true})
	if err != nil || made.SnapshotId != "snap_1x" || made.Lsn != 50 || made.Archived != 40 || made.Trimmed != 40 {
		t.Errorf("%v, %v", made, err)
	}
	if made, err = o.CreateSnapshot(t.Context(), &clusterv1.CreateSnapshotRequest{Partition: 4}); err != nil || made.Trimmed != 0 {
		t.Errorf("%v, %v", made, err)
	}
	if _, err = o.CreateSnapshot(t.Context(), &clusterv1.CreateSnapshotRequest{Partition: 4, MinLsn: 51}); !errs.Is(err, errs.Conflict) {
		t.Errorf("%v", err)
	}
	if a, err := o.TrimLog(t.Context(), &clusterv1.TrimLogRequest{Log: 5, Force: true}); err != nil || a.Through != 7 {
		t.Errorf("%v, %v", a, err)
	}
	want := "snapshot 3 at least 45, trim 3 through 40, false, snapshot 4 at least 0, snapshot 4 at least 51, trim 5 through 0, true"
	if got := strings.Join(k.asked, ", "); got != want {
		t.Errorf("asked was %s", got)
	}
	if _, err := o.TrimLog(t.Context(), &clusterv1.TrimLogRequest{Log: 24}); !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown log: %v", err)
	}
}

func TestKeeperRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		cluster uint64
		code    errs.Code
	}{"another cluster": {workerCluster + 1, errs.Invalid}, "nothing to serve": {workerCluster, errs.Unsupported}} {
		t.Run(name, func(t *testing.T) {
			w := newWorkers(t)
			s, err := rpc.NewWorkerServer(rpc.DefaultWorker(), workerOne, func() uint64 { return row.cluster }, fakeWorker{})
			if err != nil {
				t.Fatal(err)
			}
			w.start(workerOne, s)
			w.lead(workerOne)
			o := rpc.NewOperatorServer(rpc.Operated{Keepers: rpc.NewKeeperClient(id.GenerationalNode{Node: 9, Generation: 1}, w, w)})
			if _, err := o.TrimLog(t.Context(), &clusterv1.TrimLogRequest{Log: 3}); !errs.Is(err, row.code) {
				t.Errorf("trim: %v", err)
			}
			if _, err := o.CreateSnapshot(t.Context(), &clusterv1.CreateSnapshotRequest{Partition: 3}); !errs.Is(err, row.code) {
				t.Errorf("snapshot: %v", err)
			}
		})
	}
}

package rpc

import (
	"context"
	"slices"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// lastOf returns the last segment of a log and the version of its chain, through a quorum.
func (s *OperatorServer) lastOf(ctx context.Context, log uint32) (*storedv1.Segment, int64, error) {
	logs, _, err := s.Meta.Logs(ctx)
	if err != nil {
		return nil, 0, err
	}
	if int(log) >= len(logs) {
		return nil, 0, errs.Newf(errs.NotFound, "there is no log %d: they are 0 to %d", log, len(logs)-1)
	}
	segments := logs[log].Chain.GetSegments()
	if len(segments) == 0 {
		return nil, 0, errs.Newf(errs.NotFound, "log %d has no segments: nothing was ever written", log)
	}
	return segments[len(segments)-1], logs[log].Version, nil
}

// ReconfigureLog implements clusterv1.OperatorServiceServer.
func (s *OperatorServer) ReconfigureLog(ctx context.Context, r *clusterv1.ReconfigureLogRequest) (*clusterv1.ReconfigureLogResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, operateMax)
	defer cancel()
	was, version, err := s.lastOf(ctx, r.Log)
	switch {
	case err != nil:
		return nil, err
	case r.Segment != nil && r.GetSegment() != was.Index:
		return nil, errs.Newf(errs.Conflict, "segment %d is not the last one of log %d, that is %d", r.GetSegment(), r.Log, was.Index)
	case version < r.MinVersion:
		return nil, errs.Newf(errs.Conflict, "the chain of log %d has version %d, not yet %d", r.Log, version, r.MinVersion)
	}
	before := s.View.Current()
	if int(r.Log) >= len(before.Epochs) {
		return nil, errs.Newf(errs.Unavailable, "this metadata daemon does not know partition %d yet", r.Log)
	}
	e := before.Epochs[r.Log]
	if r.Sequencer != 0 && r.Sequencer != e.Node {
		if _, err := s.Lead(ctx, &clusterv1.LeadRequest{Partition: r.Log, Node: r.Sequencer}); err != nil {
			return nil, err
		}
	} else if err := s.leadAnew(ctx, e, r.Log); err != nil {
		return nil, err
	}
	now, _, err := s.lastOf(ctx, r.Log)
	if err != nil {
		return nil, err
	}
	return &clusterv1.ReconfigureLogResponse{Was: was, Now: now}, nil
}

// leadAnew has the leader of a partition end its epoch and begin the next one.
func (s *OperatorServer) leadAnew(ctx context.Context, e *storedv1.Epoch, p uint32) error {
	leader := id.GenerationalNode{Node: id.Node(e.GetNode()), Generation: e.GetGeneration()}
	alive := slices.ContainsFunc(s.Attendants.Alive(), func(a placement.Attendant) bool { return a.ID == leader })
	if !alive || !s.Attendants.Call(placement.Call{Partition: id.Partition(p), Node: leader.Node, Over: lsn.Epoch(e.GetEpoch())}) {
		return errs.Newf(errs.Conflict, "%s, which leads partition %d, is not alive: whoever leads it next begins a segment of its own", leader, p)
	}
	_, err := s.View.Await(ctx, func(now *metastore.Snapshot) bool { return now.Epochs[p].GetEpoch() > e.GetEpoch() })
	if err != nil {
		return errs.Newf(errs.Uncertain, "%s was asked to begin a segment of log %d, and has not: %w", leader, p, err)
	}
	return nil
}

package metastore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"reprise/pkg/errs"
)

// Members changes who is in the metadata quorum; *Etcd is one.
type Members interface {
	Members(ctx context.Context) ([]Member, error)
	// AddMember lets a member in that is to learn what there is before it counts.
	AddMember(ctx context.Context, peerURL string) error
	// RemoveMember takes one out; its process ends.
	RemoveMember(ctx context.Context, id uint64) error
}

func (s *Store) quorum() (Members, error) {
	kv, ok := uncounted(s.kv).(Members)
	if !ok {
		return nil, errs.Newf(errs.Unsupported, "the metadata is not in etcd")
	}
	return kv, nil
}

// AddMember lets the member at a peer URL in, if decide finds that safe. A repeat changes nothing.
func (s *Store) AddMember(ctx context.Context, peerURL string, decide func([]Member) error) error {
	kv, err := s.quorum()
	if err != nil {
		return err
	}
	return s.tries(ctx, memberTry, func(ctx context.Context) error {
		members, err := kv.Members(ctx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(members, func(m Member) bool { return m.IsAt(peerURL) }) {
			return nil
		}
		if err := decide(members); err != nil {
			return err
		}
		return kv.AddMember(ctx, peerURL)
	})
}

// RemoveMember takes a member out of the quorum. A repeat changes nothing.
func (s *Store) RemoveMember(ctx context.Context, id uint64) error {
	kv, err := s.quorum()
	if err != nil {
		return err
	}
	return s.tries(ctx, memberTry, func(ctx context.Context) error { return kv.RemoveMember(ctx, id) })
}

// memberTry bounds one try to change the members.
const memberTry = 5 * time.Second

// AddMember implements Members.
func (e *Etcd) AddMember(ctx context.Context, peerURL string) error {
	_, err := e.client.MemberAddAsLearner(ctx, []string{peerURL})
	return memberErr("add the metadata member "+peerURL, err)
}

// RemoveMember implements Members.
func (e *Etcd) RemoveMember(ctx context.Context, id uint64) error {
	_, err := e.client.MemberRemove(ctx, id)
	if errors.Is(err, rpctypes.ErrMemberNotFound) { // an earlier try
		return nil
	}
	return memberErr(fmt.Sprintf("remove the metadata member %x", id), err)
}

// Promote has a member that has learnt all there is count. errs.Unavailable: it has not yet.
func (e *Etcd) Promote(ctx context.Context, id uint64) error {
	_, err := e.client.MemberPromote(ctx, id)
	if errors.Is(err, rpctypes.ErrMemberNotLearner) { // an earlier try
		return nil
	}
	return memberErr(fmt.Sprintf("promote the metadata member %x", id), err)
}

// memberErr gives an error of a change of members its code: etcd refuses what would cost the quorum.
func memberErr(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrMemberNotEnoughStarted), errors.Is(err, rpctypes.ErrTooManyLearners),
		errors.Is(err, rpctypes.ErrPeerURLExist), errors.Is(err, rpctypes.ErrMemberExist):
		return errs.Newf(errs.Conflict, "%s: %w", doing, err)
	case errors.Is(err, rpctypes.ErrUnhealthy): // also if a member is back for less than five seconds
		return errs.Newf(errs.Unavailable, "%s: a member does not answer, or has been back for a few seconds only: %w", doing, err)
	case errors.Is(err, rpctypes.ErrMemberLearnerNotReady):
		return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
	default:
		return errs.With(writeCode(err), fmt.Errorf("%s: %w", doing, err))
	}
}

var _ Members = (*Etcd)(nil)

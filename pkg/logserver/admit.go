package logserver

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
	"reprise/pkg/logstore"
)

// States changes the storage state of a node in the metadata, if our generation is current.
type States interface {
	SetStorageState(ctx context.Context, me id.GenerationalNode, from, to storedv1.StorageState) error
}

// Admission is what is to be done with a store before it may serve.
type Admission struct {
	WriteMarker bool                  // first, durably
	Next        storedv1.StorageState // then; UNSPECIFIED: no change
	Refuse      error                 // then stop
}

// lost is what to do about an empty disk.
const lost = "put its data folder back if it was away by mistake and start it again, or start with an empty one under a new node-name"

// Admission rules: an empty disk must never answer as if it had stored nothing.
func admission(m logstore.Marker, marked bool, node id.Node, fingerprint uint64, state storedv1.StorageState) Admission {
	if marked && m.Node != node {
		return Admission{Refuse: errs.Newf(errs.Invalid, "the log store belongs to node N%d, this is N%d: give each node its own folder (base-dir)", m.Node, node)}
	}
	if marked && m.Fingerprint != fingerprint {
		return Admission{Refuse: errs.Newf(errs.Invalid, "the log store belongs to another cluster (%016x, not %016x): give it its own folder (base-dir)", m.Fingerprint, fingerprint)}
	}
	switch state {
	case storedv1.StorageState_STORAGE_STATE_PROVISIONING:
		return Admission{WriteMarker: !marked, Next: storedv1.StorageState_STORAGE_STATE_READ_WRITE}
	case storedv1.StorageState_STORAGE_STATE_READ_WRITE, storedv1.StorageState_STORAGE_STATE_READ_ONLY:
		if marked {
			return Admission{}
		}
		return Admission{
			Next:   storedv1.StorageState_STORAGE_STATE_DATA_LOSS,
			Refuse: errs.Newf(errs.Corrupt, "the log store of N%d is empty although it held data: the node is now in state data-loss and does not serve; %s", node, lost),
		}
	case storedv1.StorageState_STORAGE_STATE_DATA_LOSS:
		if marked {
			return Admission{Refuse: errs.Newf(errs.Invalid, "node N%d was started once without its log store (state data-loss), which is here now: if it is as the node left it, and no older copy, "+
				"run 'reprisectl nodes set-storage-state --nodes %d --storage-state read-write --force' and start it again; if not, start with an empty data folder under a new node-name", node, node)}
		}
		return Admission{Refuse: errs.Newf(errs.Corrupt, "the log store of N%d is empty although it held data (state data-loss): %s", node, lost)}
	default:
		return Admission{Refuse: errs.Newf(errs.Invalid, "node N%d has storage state %s and may not serve: start with an empty data folder under a new node-name", node, stateName(state))}
	}
}

// stateName is the word of a storage state, such as data-loss.
func stateName(s storedv1.StorageState) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.String(), "STORAGE_STATE_")), "_", "-")
}

// Admit brings the marker of the store and the storage state of the node together, or refuses.
func Admit(ctx context.Context, store *logstore.Store, me *storedv1.Node, fingerprint uint64, states States, h host.Host) error {
	m, marked, err := store.Marker()
	if err != nil {
		return err
	}
	node := id.Node(me.Id)
	state := me.StorageState
	if state == storedv1.StorageState_STORAGE_STATE_UNSPECIFIED {
		state = storedv1.StorageState_STORAGE_STATE_PROVISIONING
	}
	a := admission(m, marked, node, fingerprint, state)
	if a.WriteMarker {
		if err := store.WriteMarker(logstore.Marker{Node: node, Fingerprint: fingerprint, CreatedMillis: host.Millis(h.Clock)}); err != nil {
			return err
		}
	}
	if a.Next != storedv1.StorageState_STORAGE_STATE_UNSPECIFIED {
		self := id.GenerationalNode{Node: node, Generation: me.Generation}
		if err := states.SetStorageState(ctx, self, me.StorageState, a.Next); err != nil {
			return fmt.Errorf("storage state of %s to %s: %w", self, stateName(a.Next), err)
		}
		h.Log.Info("storage state changed", slog.String(logkey.Node, self.String()), slog.String(logkey.Code, stateName(a.Next)))
	}
	return a.Refuse
}

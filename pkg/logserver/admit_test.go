package logserver

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/logstore"
)

const (
	unspecified  = storedv1.StorageState_STORAGE_STATE_UNSPECIFIED
	provisioning = storedv1.StorageState_STORAGE_STATE_PROVISIONING
	readWrite    = storedv1.StorageState_STORAGE_STATE_READ_WRITE
	readOnly     = storedv1.StorageState_STORAGE_STATE_READ_ONLY
	gone         = storedv1.StorageState_STORAGE_STATE_GONE
	dataLoss     = storedv1.StorageState_STORAGE_STATE_DATA_LOSS
	disabled     = storedv1.StorageState_STORAGE_STATE_DISABLED
)

func TestAdmission(t *testing.T) {
	mine := logstore.Marker{Node: 4, Fingerprint: 77}
	for name, c := range map[string]struct {
		marker *logstore.Marker
		state  storedv1.StorageState
		write  bool
		next   storedv1.StorageState
		refuse bool
	}{
		"first start":                    {nil, provisioning, true, readWrite, false},
		"crashed after the marker":       {&mine, provisioning, false, readWrite, false},
		"usual start":                    {&mine, readWrite, false, unspecified, false},
		"draining":                       {&mine, readOnly, false, unspecified, false},
		"an empty disk":                  {nil, readWrite, false, dataLoss, true},
		"an empty disk while draining":   {nil, readOnly, false, dataLoss, true},
		"another node's disk":            {&logstore.Marker{Node: 5, Fingerprint: 77}, readWrite, false, unspecified, true},
		"another node's disk, new node":  {&logstore.Marker{Node: 5, Fingerprint: 77}, provisioning, false, unspecified, true},
		"another cluster's disk":         {&logstore.Marker{Node: 4, Fingerprint: 78}, readWrite, false, unspecified, true},
		"it is back, and nobody says so": {&mine, dataLoss, false, unspecified, true},
		"lost":                           {nil, dataLoss, false, unspecified, true},
		"declared gone":                  {&mine, gone, false, unspecified, true},
		"disabled":                       {&mine, disabled, false, unspecified, true},
	} {
		m := logstore.Marker{}
		if c.marker != nil {
			m = *c.marker
		}
		got := admission(m, c.marker != nil, 4, 77, c.state)
		if got.WriteMarker != c.write || got.Next != c.next || (got.Refuse != nil) != c.refuse {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

type states struct {
	store  *logstore.Store
	state  storedv1.StorageState
	marked bool // when the state was changed
	err    error
}

func (s *states) SetStorageState(_ context.Context, _ id.GenerationalNode, from, to storedv1.StorageState) error {
	if s.err != nil {
		return s.err
	}
	_, marked, err := s.store.Marker()
	s.state, s.marked = to, marked
	return err
}

func TestAdmit(t *testing.T) {
	s := run(t, vfs.NewMem())
	node := &storedv1.Node{Id: 4, Generation: 2, StorageState: provisioning}
	st := &states{store: s.store, err: errs.Newf(errs.Unavailable, "no quorum")}
	if err := Admit(t.Context(), s.store, node, 77, st, s.h); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("without metadata: %v", err)
	}
	st.err = nil
	if err := Admit(t.Context(), s.store, node, 77, st, s.h); err != nil || st.state != readWrite || !st.marked {
		t.Fatalf("first start: %v, state %s, marker first %t", err, st.state, st.marked)
	}
	empty := run(t, vfs.NewMem())
	st = &states{store: empty.store}
	node.StorageState = readWrite
	if err := Admit(t.Context(), empty.store, node, 77, st, s.h); !errs.Is(err, errs.Corrupt) || st.state != dataLoss {
		t.Fatalf("an empty disk: %v, state %s", err, st.state)
	}
}

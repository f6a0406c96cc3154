package metastore_test

import (
	"slices"
	"testing"

	"reprise/pkg/errs"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/metastore"
)

// A member that was added and has never started is told apart from the one in this process, and can be taken out.
// tests/e2e.TestMetadataMembers starts it.
func TestMemberThatNeverStarted(t *testing.T) {
	ports := freePorts(t, 3)
	member := must[*metastore.Embedded](t)(metastore.OpenEmbedded(t.Context(), metastore.EmbedConfig{
		Name: "n1", Dir: t.TempDir(), PeerURL: "http://" + ports[0], ListenPeer: ports[0], ListenClient: ports[1], ClientURL: "http://" + ports[1], Token: "test",
	}, hosttest.Real(1)))
	closeAtEnd(t, member)
	s := metastore.New(member.KV(), "test", hosttest.Real(1))
	peer := "http://" + ports[2]
	yes := func([]metastore.Member) error { return nil }
	no := func([]metastore.Member) error { return errs.Newf(errs.Conflict, "no") }
	if err := s.AddMember(t.Context(), peer, no); !errs.Is(err, errs.Conflict) {
		t.Errorf("refused: %v", err)
	}
	for _, decide := range []func([]metastore.Member) error{yes, no} { // a repeat is not judged
		if err := s.AddMember(t.Context(), peer, decide); err != nil {
			t.Fatal(err)
		}
	}
	all := must[[]metastore.Member](t)(s.Members(t.Context()))
	i := slices.IndexFunc(all, func(m metastore.Member) bool { return slices.Contains(m.PeerURLs, peer) })
	if len(all) != 2 || i < 0 || all[i].Err == nil || !all[i].Learner || all[i].Name != "" {
		t.Fatalf("%+v", all)
	}
	if first := all[1-i]; first.Err != nil || first.Name != "n1" || first.ID != member.ID() || first.Version == "" || first.Learner || member.Learns() {
		t.Errorf("%+v", first)
	}
	for range 2 {
		if err := s.RemoveMember(t.Context(), all[i].ID); err != nil {
			t.Fatal(err)
		}
	}
	if all := must[[]metastore.Member](t)(s.Members(t.Context())); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

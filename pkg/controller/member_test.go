package controller_test

import (
	"errors"
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/metastore"
)

// members makes some of words: NAME, -NAME does not answer, +NAME learns.
func members(words string) (all []metastore.Member) {
	for i, w := range strings.Fields(words) {
		m := metastore.Member{ID: uint64(i + 1), Name: strings.TrimLeft(w, "-+"), Learner: strings.Contains(w, "+")}
		if strings.HasPrefix(w, "-") {
			m.Err = errors.New("no answer")
		}
		all = append(all, m)
	}
	return all
}

func TestRemovableMember(t *testing.T) {
	for _, row := range []struct {
		members string
		want    uint64
		code    errs.Code
		says    string
	}{
		{"a b x", 3, 0, ""},
		{"a x", 2, 0, ""},
		{"a -x", 2, 0, ""}, // etcd itself knows whether it has a quorum to write that
		{"a b -x", 3, 0, ""},
		{"x", 0, errs.Conflict, "it is the only member"},
		{"x +b", 0, errs.Conflict, "it is the only member"},
		{"-a x", 0, errs.Conflict, "a does not answer: start it first\nwithout it 0 of 1 members would answer"},
		{"a -b x", 0, errs.Conflict, "without it 1 of 2 members would answer"},
		{"a b -c x", 4, 0, ""},
		{"a b +x", 3, 0, ""},
		{"a b", 0, errs.NotFound, "node x is no member"},
	} {
		got, err := controller.RemovableMember(members(row.members), "x")
		if got != row.want || row.code == 0 && err != nil || row.code != 0 && (!errs.Is(err, row.code) || !strings.Contains(err.Error(), row.says)) {
			t.Errorf("%s: %d, %v", row.members, got, err)
		}
	}
}

func TestAddable(t *testing.T) {
	for words, says := range map[string]string{
		"a": "", "a b c": "", "a -b c": "b does not answer: start it, or remove it first", "a +b": "b is still learning",
	} {
		err := controller.Addable(members(words))
		if (err == nil) != (says == "") || err != nil && (!errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", words, err)
		}
	}
	for _, row := range []struct {
		node *storedv1.Node
		says string
	}{
		{&storedv1.Node{Id: 4, Roles: []string{metastore.RoleWorker}}, "N4 is no metadata daemon"},
		{&storedv1.Node{Id: 4, Roles: []string{metastore.RoleMetadata}}, "N4 has not said where"},
		{&storedv1.Node{Id: 4, Roles: []string{metastore.RoleMetadata}, EtcdPeerUrl: "http://n4:2380"}, ""},
	} {
		url, err := controller.JoiningMember(row.node)
		if url != row.node.EtcdPeerUrl || (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%v: %q, %v", row.node, url, err)
		}
	}
}

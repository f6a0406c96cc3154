package wire_test

import (
	"slices"
	"testing"

	"reprise/services/standalone/wire"
)

func TestCutNodes(t *testing.T) {
	for _, row := range []struct {
		args []string
		n    int
		rest []string
		bad  bool
	}{
		{[]string{"--base-dir", "x"}, 1, []string{"--base-dir", "x"}, false},
		{[]string{"--nodes", "3", "--base-dir", "x"}, 3, []string{"--base-dir", "x"}, false},
		{[]string{"--no-logo", "--nodes=5"}, 5, []string{"--no-logo"}, false},
		{[]string{"--nodes", "many"}, 0, nil, true},
		{[]string{"--nodes="}, 0, nil, true},
	} {
		n, rest, err := wire.CutNodes(row.args)
		if n != row.n || !slices.Equal(rest, row.rest) || (err != nil) != row.bad {
			t.Errorf("%v: %d %v %v", row.args, n, rest, err)
		}
	}
}

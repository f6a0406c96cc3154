package logstore

import (
	"bytes"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

func TestKeysGolden(t *testing.T) {
	l := id.NewLoglet(5, 37)
	for text, key := range map[string][]byte{
		"200000000500000025000004d2": groupKey(nil, l, 1234),
		"100000000500000025":         metaKey(nil, kindIdentity, l),
		"110000000500000025":         metaKey(nil, kindSeal, l),
		"120000000500000025":         metaKey(nil, kindTrim, l),
		"130000000500000025":         metaKey(nil, kindKnown, l),
	} {
		if got := hex.EncodeToString(key); got != text {
			t.Errorf("%s is %s, not %s", KeyString(key), got, text)
		}
	}
	if got := KeyString(groupKey(nil, l, 1234)); got != "group 5_37@1234" {
		t.Errorf("a group key prints as %s", got)
	}
}

func TestKeysOrderAndRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := id.Loglet(rapid.Uint64().Draw(t, "a")), id.Loglet(rapid.Uint64().Draw(t, "b"))
		x, y := lsn.Offset(rapid.Uint32().Draw(t, "x")), lsn.Offset(rapid.Uint32().Draw(t, "y"))
		less := a < b || a == b && x < y
		if got := bytes.Compare(groupKey(nil, a, x), groupKey(nil, b, y)) < 0; got != less {
			t.Fatalf("order of %d@%d and %d@%d", a, x, b, y)
		}
		if l, first, ok := parseGroupKey(groupKey(nil, a, x)); !ok || l != a || first != x {
			t.Fatalf("%d@%d parses as %d@%d, %t", a, x, l, first, ok)
		}
	})
}

package id_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/id"
)

func invocation(t *testing.T, text string) id.Invocation {
	t.Helper()
	i, err := id.ParseInvocation(text)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return i
}

func TestHash(t *testing.T) {
	for _, c := range []struct {
		in   string
		key  id.PartitionKey
		of24 id.Partition
	}{
		{"", 0xd6bcec3c6b29d72e, 20},
		{"a", 0x13acce3537d6b799, 1},
		{"hello", 0x3e7c905d6f736c83, 5},
		{"my-key", 0x842efcb12c916e58, 12},
		{"user-1", 0xe4e7eb4733dcd9e9, 21},
		{"wk1", 0x4a6c6e32e26ce837, 6},
		{"k1", 0x548ae3cba54055b3, 7},
		{"\U0001F600", 0xf7c3f91c669c8d05, 23},
	} {
		key := id.Hash(c.in)
		if key != c.key || id.PartitionOf(key, 24) != c.of24 {
			t.Errorf("hash of %q is %x in partition %d, not %x in %d", c.in, key, id.PartitionOf(key, 24), c.key, c.of24)
		}
	}
	for bucket, want := range map[uint16]id.PartitionKey{
		0: 0xb8482bbd25b7de4a, 1: 0xdd1bb149e4155f79, 7: 0xcb525f059dbc89f0, 435: 0x92cd34ab7e24c84b, 511: 0x450da5b9ba3acc39,
	} {
		if got := id.BucketKey("Greeter", bucket); got != want {
			t.Errorf("bucket %d is %x, not %x", bucket, got, want)
		}
	}
}

func TestDeterministicInvocations(t *testing.T) {
	ik := id.IdempotentInvocation
	for _, c := range []struct {
		got         id.Invocation
		key, unique string
		text        string
	}{
		{id.WorkflowInvocation("Wf", "wk1"), "4a6c6e32e26ce837", "e0f69135fdfcd0f2fc92e513455e709a", "inv_14NAYWOkWeyC4HqaAv3eM70hJLaHxEfgB2"},
		{id.WorkflowInvocation("Wf", "wk3"), "75c807e49c75ede5", "1b12630984bece6b38a4643adfec319a", "inv_1jJTK6B0CVRb4GXDk94dG1dTN3WZnN1VML"},
		{id.WorkflowInvocation("Wf", "wk4"), "960c0c6f3e83357b", "3bfb1b5b76ca8e79191eaa03df92c853", "inv_1azQ0kCxrUKq2y61AloiW2pkIMEkncASHV"},
		{ik("Greeter", "", false, "Greet", "k1"), "92cd34ab7e24c84b", "1a99fc5325153512bc1971eda16ce2da", "inv_16vnR5MzgZWy6F1NOE9uey53CgsYcYt92y"},
		{ik("Greeter", "", false, "Greet", "kd"), "f86ac11cb44ef2bc", "7520fb82996b0baa36f25acd27c980e8", "inv_1gdKZcCeQfbi74J4EL2VJvjhVCKLnwxMVf"},
		{ik("Greeter", "", false, "Greet", ""), "f85a75b5db181eec", "f46d239e99050e6006164a47bd08e20d", "inv_1kgQAJVeTJB60qcchEte0O3TBzxOJC5fh2"},
		{ik("Greeter", "", false, "FailT", "kf"), "b847a5608afa973b", "92c43b0c1c15b98b84f57df6984638bb", "inv_157dn6PPcPPy5HhhyNrIlnQMxfTNPPtRgS"},
		{ik("Greeter", "", false, "Hdr", "hdr1"), "92731c4c8490a148", "40c99941dafbe23388f1b29fd21c5647", "inv_16eC34ivlgfE2aBO8WIyfnJigl0hyUhDQk"},
		{ik("Counter", "my-key", true, "Add", "ck1"), "842efcb12c916e58", "4be4a7407c675d8ddca6c0d561a7d7f0", "inv_17AIHiTltkYA7ksIb3WCxdNosoEI2QLDlh"},
		{ik("Wf", "wk2", true, "Signal", "x"), "e904fd851315bf33", "fb0b9738659c1be150a2c989c9b4109c", "inv_14rrAp9GNt574Kur8LBf4ljrF19T5DEFez"},
		{id.ScopedIdempotentInvocation("s1", "Greeter", "", false, "Greet", "k1"), "82a4cddf2f56bb74", "3404a007f1f3b1ebe20e00ec1156502a", "inv_1a1mlWikgvPI1hQogRHZ5Vn1iU8nF5w68Y"},
		{id.ScopedWorkflowInvocation("s1", "Wf", "wk1"), "82a4cddf2f56bb74", "d5838a10c368444fdca248f1b75acc0c", "inv_1a1mlWikgvPI0o9iu16JEd44YKe0VXZLmt"},
	} {
		if got := hex.EncodeToString(c.got[:]); got != c.key+c.unique {
			t.Errorf("%s: raw is %s, not %s%s", c.text, got, c.key, c.unique)
		}
		if c.got.String() != c.text {
			t.Errorf("text is %s, not %s", c.got, c.text)
		}
		if back := invocation(t, c.text); back != c.got {
			t.Errorf("%s came back as %s", c.text, back)
		}
	}
}

func TestOtherTexts(t *testing.T) {
	for text, raw := range map[string]string{
		"inv_1hW1AC1zCHZN3VrUt82V5AgO8ljHp9p28x":     "032c82011716e9d001a200b69b5fd5690c2d14a8ad280481",
		"inv_14NAYWOkWeyC1IjHFmRVTp4sVlfIuNg2Yx":     "4a6c6e32e26ce83701a200b834a2d2889aabd79500d25738",
		"inv_1lwHJJiWjqpY4VR3tsv0mj1GjfSRzeifFa":     "3ab263584d83befa6484a13bc3c2ef17b053c363458916a2",
		"inv_1" + strings.Repeat("0", 33):            strings.Repeat("0", 48),
		"inv_105k1wlNFHb2" + strings.Repeat("0", 22): "0000000000000001" + strings.Repeat("0", 32),
	} {
		i := invocation(t, text)
		if got := hex.EncodeToString(i[:]); got != raw || i.String() != text {
			t.Errorf("%s is %s, printed %s", text, got, i)
		}
	}
	for text, raw := range map[string]string{
		"dp_13RK0Gco7eAbHkQ1EkAAJG1": "01a200b68eb95bda5121130fe4180d7f",
		"dp_11nGQpCRmau6ypL82KH2TnP": "019441f1be4f151534e91b9a2173692d",
	} {
		d, err := id.ParseDeployment(text)
		if got := hex.EncodeToString(d[:]); err != nil || got != raw || d.String() != text {
			t.Errorf("%s is %s, printed %s: %v", text, got, d, err)
		}
	}
	if s, err := id.ParseSubscription("sub_15lmC3ZiNbVN0HxhnHeYxzz"); err != nil || hex.EncodeToString(s[:]) != "01a200bd6fb07cb90777cc8912449baf" || s.String() != "sub_15lmC3ZiNbVN0HxhnHeYxzz" {
		t.Errorf("a subscription is %x, %v", s, err)
	}
	if i := invocation(t, "inv_1hW1AC1zCHZN3VrUt82V5AgO8ljHp9p28x"); i.PartitionKey() != id.BucketKey("Hidden", 376) ||
		id.ULID(i.Unique()).Millis() != 1795308297055 {
		t.Errorf("%s: key %x, time %d", i, i.PartitionKey(), id.ULID(i.Unique()).Millis())
	}
}

func TestAwakeables(t *testing.T) {
	for text, inv := range map[string]string{
		"sign_15k9hHtMbLdA7nrRaLQJOHK3WRDbMqwFtAAAAEQ": "inv_1hS7fYn6IOXQ3jGVuEzaeN2q9pkVXlfIMP",
		"sign_1q0XZFQs4OjPK-8tskKlLwwWHu8vA-IsjAAAAEQ": "inv_14oGiVem1xOP154HjKyg3t8wsFCyy132au",
	} {
		i, index, legacy, err := id.ParseAwakeable(text)
		if err != nil || i.String() != inv || index != 17 || legacy {
			t.Errorf("%s is %s, %d, %v, %v", text, i, index, legacy, err)
		}
		if back := id.FormatAwakeable(i, index); back != text {
			t.Errorf("%s came back as %s", text, back)
		}
		i, index, legacy, err = id.ParseAwakeable(strings.Replace(text, "sign", "prom", 1))
		if err != nil || i.String() != inv || index != 17 || !legacy {
			t.Errorf("old form of %s is %s, %d, %v, %v", text, i, index, legacy, err)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	zeros := strings.Repeat("0", 33)
	parseInvocation := func(s string) error { _, err := id.ParseInvocation(s); return err }
	parseDeployment := func(s string) error { _, err := id.ParseDeployment(s); return err }
	parseAwakeable := func(s string) error { _, _, _, err := id.ParseAwakeable(s); return err }
	for _, c := range []struct {
		parse    func(string) error
		in, want string
	}{
		{parseInvocation, "", "bad length"},
		{parseInvocation, "foo", "bad format"},
		{parseInvocation, "inv_", "bad length"},
		{parseInvocation, "inv_1xx", "bad length"},
		{parseInvocation, "inv_1" + zeros + "0", "bad length"},
		{parseInvocation, "inv_2aaaa", "unrecognized codec version"},
		{parseInvocation, "dp_1xx", "id doesn't match the expected type"},
		{parseInvocation, "dp_2xx", "unrecognized codec version"},
		{parseInvocation, "xyz_1", "unrecognized resource type: xyz"},
		{parseInvocation, "_1", "unrecognized resource type: "},
		{parseInvocation, "INV_1" + zeros, "unrecognized resource type: INV"},
		{parseInvocation, "inv_1-" + zeros[1:], "base62 decode error"},
		{parseInvocation, "inv_1" + zeros[1:] + "-", "base62 decode error"},
		{parseInvocation, "inv_1ZZZZZZZZZZZ" + zeros[11:], "base62 decode error"},
		{parseInvocation, "inv_100000000000" + strings.Repeat("Z", 22), "base62 decode error"},
		{parseDeployment, "inv_1" + zeros, "id doesn't match the expected type"},
		{parseDeployment, "dp_1" + strings.Repeat("Z", 22), "base62 decode error"},
		{parseDeployment, "dp_1", "bad length"},
		{parseAwakeable, "sign_1xx", "id doesn't match the expected type"},
		{parseAwakeable, "prom_1xx", "bad length"},
		{parseAwakeable, "prom_1" + strings.Repeat("*", 38), "base62 decode error"},
		{parseAwakeable, "prom_1" + strings.Repeat("A", 37) + "B", "base62 decode error"}, // bits behind the last byte
		{parseAwakeable, "awk", "bad format"},
	} {
		if err := c.parse(c.in); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, not %s", c.in, err, c.want)
		}
	}
	var unknown id.UnknownPrefixError
	if !errors.As(parseInvocation("xyz_1"), &unknown) || unknown.Prefix != "xyz" {
		t.Errorf("unknown prefix is %+v", unknown)
	}
}

func TestRandomSeed(t *testing.T) {
	if got := id.RandomSeed(invocation(t, "inv_1lwHJJiWjqpY4VR3tsv0mj1GjfSRzeifFa")); got != 12701120552794852764 {
		t.Errorf("seed is %d", got)
	}
}

func TestRange(t *testing.T) {
	for p, want := range map[id.Partition]id.PartitionKey{0: 0, 1: 768614336404564651, 2: 1537228672809129302} {
		if from, _ := id.Range(p, 24); from != want {
			t.Errorf("partition %d starts at %d, not %d", p, from, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint32Range(1, 65536).Draw(t, "partitions")
		p := id.Partition(rapid.Uint32Range(0, n-1).Draw(t, "partition"))
		from, to := id.Range(p, n)
		if id.PartitionOf(from, n) != p || id.PartitionOf(to, n) != p {
			t.Fatalf("%d..%d is not all in %d", from, to, p)
		}
		if p > 0 && id.PartitionOf(from-1, n) != p-1 || p == 0 && from != 0 {
			t.Fatalf("%d is not the first of %d", from, p)
		}
		if uint32(p) < n-1 && id.PartitionOf(to+1, n) != p+1 || uint32(p) == n-1 && to != ^id.PartitionKey(0) {
			t.Fatalf("%d is not the last of %d", to, p)
		}
	})
}

func TestULID(t *testing.T) {
	u := id.NewULID(1469918176385, [10]byte{0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	if got := u.String(); got[:10] != "01ARYZ6S41" || u.Millis() != 1469918176385 {
		t.Errorf("%s at %d", got, u.Millis())
	}
	if got := (id.ULID{}).String(); got != strings.Repeat("0", 26) {
		t.Errorf("zero is %s", got)
	}
	full := id.NewULID(1<<48-1, [10]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	if got := full.String(); got != "7"+strings.Repeat("Z", 25) {
		t.Errorf("highest is %s", got)
	}
	if d := id.NewDeployment(u); hex.EncodeToString(d[:]) != hex.EncodeToString(u[:]) {
		t.Errorf("deployment is %x", d)
	}
	rapid.Check(t, func(t *rapid.T) { // texts sort as the values do
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		var ua, ub id.ULID
		binary.BigEndian.PutUint64(ua[4:], a)
		binary.BigEndian.PutUint64(ub[4:], b)
		if (a < b) != (ua.String() < ub.String()) {
			t.Fatalf("%s, %s", ua, ub)
		}
	})
}

func TestNodes(t *testing.T) {
	n := id.GenerationalNode{Node: 1, Generation: 3}
	if n.String() != "N1:3" || n.Node.String() != "N1" {
		t.Errorf("%s, %s", n, n.Node)
	}
	if back, err := id.ParseGenerationalNode("N1:3"); back != n || err != nil {
		t.Errorf("%s: %v", back, err)
	}
	for _, s := range []string{"", "N1", "1:3", "N1:", "N:3", "NN1:3", "N1:3:4", "N01:3", "N-1:3", "N4294967296:1"} {
		if n, err := id.ParseGenerationalNode(s); err == nil {
			t.Errorf("%q is %s", s, n)
		}
	}
	if got := id.NewLoglet(1, 37); got.String() != "1_37" || got.Log() != 1 || got.Segment() != 37 {
		t.Errorf("%s: log %d, segment %d", got, got.Log(), got.Segment())
	}
}

func TestAllocations(t *testing.T) {
	var sink id.Invocation
	var text [64]byte
	if n := testing.AllocsPerRun(100, func() {
		sink = id.IdempotentInvocation("Counter", "my-key", true, "Add", "ck1")
		sink = id.IdempotentInvocation("Greeter", "", false, "Greet", "01ARYZ6S410000000000000000")
		sink.AppendText(text[:0])
	}); n != 0 {
		t.Errorf("%v allocations to derive an id", n)
	}
}

func FuzzParseInvocation(f *testing.F) {
	f.Add("inv_1lwHJJiWjqpY4VR3tsv0mj1GjfSRzeifFa")
	f.Add("dp_13RK0Gco7eAbHkQ1EkAAJG1")
	f.Fuzz(func(t *testing.T, s string) {
		if i, err := id.ParseInvocation(s); err == nil && i.String() != s {
			t.Fatalf("%q came back as %s", s, i)
		}
	})
}

func FuzzParseAwakeable(f *testing.F) {
	f.Add("sign_15k9hHtMbLdA7nrRaLQJOHK3WRDbMqwFtAAAAEQ")
	f.Fuzz(func(t *testing.T, s string) {
		i, index, legacy, err := id.ParseAwakeable(s)
		if err == nil && !legacy && id.FormatAwakeable(i, index) != s {
			t.Fatalf("%q came back as %s", s, id.FormatAwakeable(i, index))
		}
	})
}

func FuzzParseOthers(f *testing.F) {
	f.Add("dp_13RK0Gco7eAbHkQ1EkAAJG1")
	f.Add("inv_1lwHJJiWjqpY4VR3tsv0mj1GjfSRzeifFa")
	f.Add("N1:2")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := id.ParseDeployment(s); err == nil && d.String() != s {
			t.Fatalf("%q came back as %s", s, d)
		}
		if n, err := id.ParseGenerationalNode(s); err == nil {
			if again, err := id.ParseGenerationalNode(n.String()); err != nil || again != n {
				t.Fatalf("%q is %s, which is %s: %v", s, n, again, err)
			}
		}
	})
}

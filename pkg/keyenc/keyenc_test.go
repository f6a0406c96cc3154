package keyenc_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/keyenc"
)

func TestGolden(t *testing.T) {
	key := keyenc.AppendBytes(nil, "a\x00b")
	key = keyenc.AppendUint16(key, 0x0102)
	key = keyenc.AppendUint32(key, 3)
	key = keyenc.AppendUint64(key, 1<<63)
	key = keyenc.AppendBytes(key, []byte{})
	const want = "6100ff620001" + "0102" + "00000003" + "8000000000000000" + "0001"
	if got := hex.EncodeToString(key); got != want {
		t.Fatalf("key is %s, not %s", got, want)
	}
}

func TestRoundTripAndOrder(t *testing.T) {
	part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0xFE, 0xFF}), 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		a, b := part.Draw(t, "a"), part.Draw(t, "b")
		m, n := rapid.Uint64().Draw(t, "m"), rapid.Uint64().Draw(t, "n")
		ka := keyenc.AppendUint64(keyenc.AppendBytes(nil, a), m)
		kb := keyenc.AppendUint64(keyenc.AppendBytes(nil, b), n)

		want := bytes.Compare(a, b)
		if want == 0 && m != n {
			want = 1
			if m < n {
				want = -1
			}
		}
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("compare of keys is %d, of values %d", got, want)
		}
		s, rest, ok := keyenc.CutBytes(nil, ka)
		if !ok || !bytes.Equal(s, a) {
			t.Fatalf("cut %x, %v", s, ok)
		}
		v, rest, ok := keyenc.CutUint64(rest)
		if !ok || v != m || len(rest) != 0 {
			t.Fatalf("cut %d, rest %x, %v", v, rest, ok)
		}
	})
}

func TestCutRefuses(t *testing.T) {
	for _, key := range []string{"", "abc", "abc\x00", "abc\x00\xff", "a\x00\x02", "\x00\x00\x01"} {
		if s, _, ok := keyenc.CutBytes(nil, []byte(key)); ok {
			t.Errorf("%q was cut to %q", key, s)
		}
	}
	if _, _, ok := keyenc.CutUint16(make([]byte, 1)); ok {
		t.Error("a u16 was cut from 1 byte")
	}
	if _, _, ok := keyenc.CutUint32(make([]byte, 3)); ok {
		t.Error("a u32 was cut from 3 bytes")
	}
	if _, _, ok := keyenc.CutUint64(make([]byte, 7)); ok {
		t.Error("a u64 was cut from 7 bytes")
	}
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ prefix, end string }{
		{"a", "b"}, {"a\xff", "b"}, {"a\x00", "a\x01"}, {"\xff\xff", ""}, {"", ""},
	} {
		if got := keyenc.PrefixEnd([]byte(c.prefix)); string(got) != c.end {
			t.Errorf("end of %q is %q, not %q", c.prefix, got, c.end)
		}
	}
}

func FuzzCutBytes(f *testing.F) {
	f.Add([]byte("a\x00\xffb\x00\x01rest"))
	f.Fuzz(func(t *testing.T, key []byte) {
		s, rest, ok := keyenc.CutBytes(nil, key)
		if !ok {
			return
		}
		if back := append(keyenc.AppendBytes(nil, s), rest...); !bytes.Equal(back, key) {
			t.Fatalf("%x came back as %x", key, back)
		}
	})
}

package logproto_test

import (
	"testing"

	"reprise/pkg/command"
	"reprise/pkg/logproto"
)

func FuzzCheckCount(f *testing.F) {
	rec, err := command.Append(nil, command.Header{Kind: command.Step}, nil, []byte("body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rec, uint32(1))
	f.Add(append(rec, rec...), uint32(2))
	f.Fuzz(func(t *testing.T, b []byte, count uint32) {
		if logproto.CheckCount(b, count) != nil {
			return
		}
		n := uint32(0)
		for len(b) > 0 {
			var err error
			if _, b, err = command.Next(b); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != count {
			t.Errorf("%d records passed as %d", n, count)
		}
	})
}

func TestCheckSums(t *testing.T) {
	rec, err := command.Append(nil, command.Header{Kind: command.Step}, nil, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stamp(rec, 1, 1, 1, 1, 1)
	two := append(append([]byte(nil), rec...), rec...)
	if err := logproto.CheckSums(two); err != nil {
		t.Error(err)
	}
	two[len(two)-1] ^= 1
	if logproto.CheckSums(two) == nil {
		t.Error("a flipped bit went unseen")
	}
}

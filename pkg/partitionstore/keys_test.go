package partitionstore

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/partition"
	"reprise/pkg/queue"
)

func goldenID() id.Invocation {
	var i id.Invocation
	for b := range i {
		i[b] = byte(b + 1)
	}
	return i
}

// What is stored stays readable: these bytes never change.
func TestGoldenKeys(t *testing.T) {
	i := goldenID()
	j := life{incarnation: 0x0102, id: i}
	timer := partition.Timer{Due: 0x0304, ID: i, Incarnation: 5, Kind: partition.TimerStart, Index: 6}
	const idHex = "090a0b0c0d0e0f101112131415161718" + "0102030405060708"
	for _, test := range []struct {
		name, want, shown string
		key               []byte
	}{
		{"meta", "01", "meta", appendMetaKey(nil)},
		{"invocation", "02" + idHex, "life of " + i.String(), appendInvocationKey(nil, i)},
		{"row", "030000000000000102" + idHex, "invocation " + i.String() + "@258", appendLifeKey(nil, j)},
		{"journal", "030000000000000102" + idHex + "00000007", "journal " + i.String() + "@258/7", appendJournalKey(nil, j, 7)},
		{"active", "040000000000000102" + idHex, "active " + i.String() + "@258", appendActiveKey(nil, j)},
		{"lock", "05530001" + "6100ff62" + "0001", `lock S/"a\x00b"`, appendLockKey(nil, "S", "a\x00b")},
		{"queue", "06530001" + "6b0001" + "0000000000000009", `queue S/"k" position=9`, appendQueueKey(nil, "S", "k", 9)},
		{"state", "07530001" + "6b0001" + "6e", `state S/"k" "n"`, appendUserStateKey(nil, "S", "k", []byte("n"))},
		{"timer", "080000000000000304" + idHex + "0000000000000005" + "02" + "00000006", "timer 772 " + i.String() + "@5 kind=2 index=6", appendTimerKey(nil, timer)},
		{"outbox", "090102" + "0000000000000003", "outbox 258/3", appendOutboxKey(nil, 258, 3)},
		{"outbox-seq", "0a0102", "outbox-seq 258", appendPeerKey(nil, kindOutboxSeq, 258)},
		{"event", "0d0000000000000102" + idHex + "00000007", "event " + i.String() + "@258/7", appendEventKey(nil, j, 7)},
		{"change", "0e530001" + "6b0001" + "0000000000000009", `change S/"k" position=9`, appendChangeKey(nil, "S", "k", 9)},
		{"source", "0b0102", "source 258", appendPeerKey(nil, kindSource, 258)},
		{"promise", "0c570001" + "6b0001" + "700001", `promise W/"k" "p"`, appendPromiseKey(nil, partition.Promise{Service: "W", Key: "k", Name: "p"})},
		{
			"waiter", "0c570001" + "6b0001" + "700001" + "0000000000000102", `waiter W/"k" "p" 258`,
			appendWaiterKey(nil, partition.Promise{Service: "W", Key: "k", Name: "p"}, 258),
		},
	} {
		if got := hex.EncodeToString(test.key); got != test.want {
			t.Errorf("%s: key is %s, not %s", test.name, got, test.want)
		}
		if got := KeyString(test.key); got != test.shown {
			t.Errorf("%s: shown as %s, not %s", test.name, got, test.shown)
		}
	}
}

func TestMalformedKeys(t *testing.T) {
	for _, text := range []string{"02", "03ff", "04", "0553", "06530001", "08", "09", "0a", "0b01", "0c57", "0c5700016b000170000100", "0d", "0e53", "ff", "0553000161000162"} {
		k, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := KeyString(k); got != "malformed "+text {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
	if got := KeyString(nil); got != "empty key" {
		t.Errorf("no key is shown as %s", got)
	}
}

func drawID(t *rapid.T) (i id.Invocation) {
	copy(i[:], rapid.SliceOfN(rapid.Byte(), len(i), len(i)).Draw(t, "id"))
	return i
}

// less compares ids as their keys stand: unique part first.
func compareIDs(a, b id.Invocation) int {
	return cmp.Or(bytes.Compare(a[8:], b[8:]), bytes.Compare(a[:8], b[:8]))
}

func checkOrder(t *rapid.T, a, b []byte, want int) {
	if got := bytes.Compare(a, b); got != want {
		t.Fatalf("%s and %s compare %d, not %d", KeyString(a), KeyString(b), got, want)
	}
}

func TestKeysRoundTripAndOrder(t *testing.T) {
	t.Run("journal", rapid.MakeCheck(func(t *rapid.T) {
		draw := func() (life, uint32) {
			return life{rapid.Uint64().Draw(t, "incarnation"), drawID(t)}, rapid.Uint32().Draw(t, "first")
		}
		a, first := draw()
		b, second := draw()
		if rapid.Bool().Draw(t, "same") {
			b = a
		}
		if j, f, ok := parseJournalKey(appendJournalKey(nil, a, first)); !ok || j != a || f != first {
			t.Fatalf("%v %d became %v %d", a, first, j, f)
		}
		if j, ok := parseLifeKey(appendLifeKey(nil, a)); !ok || j != a {
			t.Fatalf("%v became %v", a, j)
		}
		if bytes.Compare(appendLifeKey(nil, a), appendJournalKey(nil, a, first)) >= 0 {
			t.Fatalf("a row of the journal of %v comes before its invocation", a)
		}
		if j, ok := parseActiveKey(appendActiveKey(nil, a)); !ok || j != a {
			t.Fatalf("%v became %v", a, j)
		}
		if j, n, ok := parseEventKey(appendEventKey(nil, a, first)); !ok || j != a || n != first {
			t.Fatalf("event %v %d became %v %d", a, first, j, n)
		}
		checkOrder(t, appendEventKey(nil, a, first), appendEventKey(nil, b, second),
			cmp.Or(cmp.Compare(a.incarnation, b.incarnation), compareIDs(a.id, b.id), cmp.Compare(first, second)))
		if i, ok := parseInvocationKey(appendInvocationKey(nil, a.id)); !ok || i != a.id {
			t.Fatalf("%v became %v", a.id, i)
		}
		checkOrder(t, appendInvocationKey(nil, a.id), appendInvocationKey(nil, b.id), compareIDs(a.id, b.id))
		checkOrder(t, appendJournalKey(nil, a, first), appendJournalKey(nil, b, second),
			cmp.Or(cmp.Compare(a.incarnation, b.incarnation), compareIDs(a.id, b.id), cmp.Compare(first, second)))
	}))
	t.Run("timer", rapid.MakeCheck(func(t *rapid.T) {
		draw := func() partition.Timer {
			return partition.Timer{
				Due: rapid.Int64Min(0).Draw(t, "due"), ID: drawID(t), Incarnation: rapid.Uint64().Draw(t, "incarnation"),
				Kind: partition.TimerKind(rapid.Byte().Draw(t, "kind")), Index: rapid.Uint32().Draw(t, "index"),
			}
		}
		a, b := draw(), draw()
		if got, ok := parseTimerKey(appendTimerKey(nil, a)); !ok || got != a {
			t.Fatalf("%v became %v", a, got)
		}
		checkOrder(t, appendTimerKey(nil, a), appendTimerKey(nil, b), cmp.Or(
			cmp.Compare(a.Due, b.Due), compareIDs(a.ID, b.ID), cmp.Compare(a.Incarnation, b.Incarnation),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Index, b.Index)))
	}))
	t.Run("outbox", rapid.MakeCheck(func(t *rapid.T) {
		target, seq := id.Partition(rapid.Uint16().Draw(t, "target")), rapid.Uint64().Draw(t, "seq")
		gotTarget, gotSeq, ok := parseOutboxKey(appendOutboxKey(nil, target, seq))
		if !ok || gotTarget != target || gotSeq != seq {
			t.Fatalf("%d/%d became %d/%d", target, seq, gotTarget, gotSeq)
		}
	}))
	t.Run("object", rapid.MakeCheck(func(t *rapid.T) {
		service, key, name := rapid.String().Draw(t, "service"), rapid.String().Draw(t, "key"), rapid.SliceOf(rapid.Byte()).Draw(t, "name")
		gotService, gotKey, rest, ok := cutObject(appendUserStateKey(nil, service, key, name), kindUserState)
		if !ok || gotService != service || gotKey != key || !bytes.Equal(rest, name) {
			t.Fatalf("%q %q %q became %q %q %q", service, key, name, gotService, gotKey, rest)
		}
		promise := partition.Promise{Service: service, Key: key, Name: rapid.String().Draw(t, "promise")}
		if got, _, waiter, ok := parsePromiseKey(appendPromiseKey(nil, promise)); !ok || waiter || got != promise {
			t.Fatalf("%q became %q", promise, got)
		}
		number := rapid.Uint64().Draw(t, "number")
		if got, n, waiter, ok := parsePromiseKey(appendWaiterKey(nil, promise, number)); !ok || !waiter || got != promise || n != number {
			t.Fatalf("%q %d became %q %d", promise, number, got, n)
		}
		position := rapid.Uint64().Draw(t, "position")
		for _, k := range [][]byte{appendQueueKey(nil, service, key, position), appendChangeKey(nil, service, key, position)} {
			if got, ok := queuePosition(k); !ok || got != position {
				t.Fatalf("position %d became %d", position, got)
			}
		}
	}))
}

// Rows of a lock that a build before positions wrote are read.
func TestLockRows(t *testing.T) {
	key := appendLockKey(nil, "S", "k")
	l := queue.Lock{Holder: id.Invocation{1, 2, 3}, Waiting: 4, From: 5}
	row := appendLock(nil, l)
	if got, err := parseLock(key, row); err != nil || got != l {
		t.Errorf("%+v, %v", got, err)
	}
	l.From = 0 // the whole queue is looked at
	if got, err := parseLock(key, row[:lockLenFirst]); err != nil || got != l {
		t.Errorf("%+v, %v", got, err)
	}
	for _, n := range []int{0, lockLenFirst - 1, lockLenFirst + 1, lockLen - 1} {
		if _, err := parseLock(key, row[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

package metatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
)

// TestKV is what every KV does. open returns an empty one for each test.
func TestKV(t *testing.T, open func(t *testing.T) metastore.KV) {
	t.Run("read", func(t *testing.T) { testRead(t, open(t)) })
	t.Run("conditions", func(t *testing.T) { testConditions(t, open(t)) })
	t.Run("limits", func(t *testing.T) { testLimits(t, open(t)) })
	t.Run("watch", func(t *testing.T) { testWatch(t, open(t)) })
	t.Run("watch ends", func(t *testing.T) { testWatchEnds(t, open(t)) })
	t.Run("hold", func(t *testing.T) { testHold(t, open(t)) })
	t.Run("contention", func(t *testing.T) { testContention(t, open(t)) })
}

func put(t *testing.T, kv metastore.KV, writes ...metastore.Write) int64 {
	t.Helper()
	ok, rev, err := kv.Txn(t.Context(), nil, writes)
	if err != nil || !ok {
		t.Fatalf("write: ok=%v err=%v", ok, err)
	}
	return rev
}

func w(key, value string) metastore.Write { return metastore.Write{Key: key, Value: []byte(value)} }

func testRead(t *testing.T, kv metastore.KV) {
	first := put(t, kv, w("/a/1", "x"), w("/a/3", "z"), w("/b", "q"))
	second := put(t, kv, w("/a/2", "y"), w("/a/3", "zz"))
	if second <= first {
		t.Fatalf("revision went from %d to %d", first, second)
	}
	got, rev, err := kv.Read(t.Context(), metastore.Range{Key: "/a/", Prefix: true}, metastore.Range{Key: "/b"}, metastore.Range{Key: "/none"})
	if err != nil || rev != second || len(got) != 3 {
		t.Fatalf("read: %d ranges at %d, %v", len(got), rev, err)
	}
	text := ""
	for _, it := range got[0] {
		text += fmt.Sprintf("%s=%s created %d modified %d\n", it.Key, it.Value, it.Created-first, it.Modified-first)
	}
	want := fmt.Sprintf("/a/1=x created 0 modified 0\n/a/2=y created %d modified %[1]d\n/a/3=zz created 0 modified %[1]d\n", second-first)
	if text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	if len(got[1]) != 1 || string(got[1][0].Value) != "q" || len(got[2]) != 0 {
		t.Errorf("single keys: %v %v", got[1], got[2])
	}
}

func testConditions(t *testing.T, kv metastore.KV) {
	rev := put(t, kv, w("/k", "v"), w("/l", "m"))
	for _, c := range []struct {
		name  string
		conds []metastore.Cond
		want  bool
	}{
		{"absent key is absent", []metastore.Cond{{Key: "/x"}}, true},
		{"present key is absent", []metastore.Cond{{Key: "/k"}}, false},
		{"right revision", []metastore.Cond{{Key: "/k", Modified: rev}}, true},
		{"wrong revision", []metastore.Cond{{Key: "/k", Modified: rev + 1}}, false},
		{"right value", []metastore.Cond{{Key: "/k", Value: []byte("v")}}, true},
		{"wrong value", []metastore.Cond{{Key: "/k", Value: []byte("V")}}, false},
		{"value of an absent key", []metastore.Cond{{Key: "/x", Value: []byte("")}}, false},
		{"nothing below a prefix since", []metastore.Cond{{Key: "/k", Modified: rev, Prefix: true}}, true},
		{"something below a prefix since", []metastore.Cond{{Key: "/", Modified: rev - 1, Prefix: true}}, false},
		{"nothing below a prefix at all", []metastore.Cond{{Key: "/x", Prefix: true}}, true},
		{"one of two fails", []metastore.Cond{{Key: "/k", Modified: rev}, {Key: "/l", Value: []byte("n")}}, false},
	} {
		ok, _, err := kv.Txn(t.Context(), c.conds, []metastore.Write{w("/out", c.name)})
		if err != nil || ok != c.want {
			t.Errorf("%s: ok=%v err=%v", c.name, ok, err)
		}
		got, _, err := kv.Read(t.Context(), metastore.Range{Key: "/out"})
		if err != nil {
			t.Fatal(err)
		}
		if wrote := len(got[0]) == 1 && string(got[0][0].Value) == c.name; wrote != c.want {
			t.Errorf("%s: written=%v", c.name, wrote)
		}
	}
	put(t, kv, metastore.Write{Key: "/k", Delete: true})
	if ok, _, err := kv.Txn(t.Context(), []metastore.Cond{{Key: "/k"}}, nil); err != nil || !ok {
		t.Errorf("a deleted key exists: %v", err)
	}
}

func testLimits(t *testing.T, kv metastore.KV) {
	many := make([]metastore.Write, metastore.TxnOpsMax)
	for i := range many {
		many[i] = w(fmt.Sprintf("/k%d", i), "v")
	}
	put(t, kv, many...)
	if _, _, err := kv.Txn(t.Context(), nil, slices.Concat(many, []metastore.Write{w("/more", "v")})); !errs.Is(err, errs.Invalid) {
		t.Errorf("too large a transaction: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := kv.Txn(ctx, nil, many[:1]); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a call that was over before it began: %v", err)
	}
	if _, _, err := kv.Read(ctx, metastore.Range{Key: "/k0"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a read that was over before it began: %v", err)
	}
}

var errEnough = errors.New("seen enough")

func testWatch(t *testing.T, kv metastore.KV) {
	rev := put(t, kv, w("/w/before", "0"))
	put(t, kv, w("/w/a", "1"), w("/w/b", "2"))
	seen := make(chan string, 16) // more than the writes of this test
	g := lifecycle.NewGroup(t.Context())
	g.Go("watch", func(ctx context.Context) error {
		return kv.Watch(ctx, "/w/", rev+1, func(events []metastore.Event) error {
			for _, e := range events {
				seen <- fmt.Sprintf("%s=%s %v", e.Key, e.Value, e.Deleted)
				if e.Key == "/w/end" {
					return errEnough
				}
			}
			return nil
		})
	})
	put(t, kv, w("/other", "x"))
	put(t, kv, metastore.Write{Key: "/w/a", Delete: true})
	put(t, kv, w("/w/end", ""))
	if err := g.Wait(); !errors.Is(err, errEnough) {
		t.Fatalf("watch ended with %v", err)
	}
	close(seen)
	got := ""
	for s := range seen {
		got += s + "\n"
	}
	if want := "/w/a=1 false\n/w/b=2 false\n/w/a= true\n/w/end= false\n"; got != want {
		t.Errorf("saw\n%swant\n%s", got, want)
	}
}

func testWatchEnds(t *testing.T, kv metastore.KV) {
	ctx, cancel := context.WithCancel(t.Context())
	rev := put(t, kv, w("/w", ""))
	err := kv.Watch(ctx, "/w", rev, func([]metastore.Event) error { cancel(); return nil })
	if err != nil {
		t.Errorf("a watch whose context ended returned %v", err)
	}
}

func testHold(t *testing.T, kv metastore.KV) {
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan struct{})
	g := lifecycle.NewGroup(ctx)
	g.Go("hold", func(ctx context.Context) error {
		return kv.Hold(ctx, "/me", []byte("1"), 5*time.Second, func() { close(held) })
	})
	<-held
	got, rev, err := kv.Read(t.Context(), metastore.Range{Key: "/me"})
	if err != nil || len(got[0]) != 1 || string(got[0][0].Value) != "1" {
		t.Fatalf("the held key: %v %v", got, err)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatalf("hold ended with %v", err)
	}
	err = kv.Watch(t.Context(), "/me", rev+1, func(e []metastore.Event) error {
		if !e[0].Deleted {
			t.Errorf("the key was written again: %v", e)
		}
		return errEnough
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("watch: %v", err)
	}
}

func testContention(t *testing.T, kv metastore.KV) {
	const writers, each = 4, 8
	g := lifecycle.NewGroup(t.Context())
	for range writers {
		g.Go("writer", func(ctx context.Context) error {
			for done := 0; done < each; {
				got, _, err := kv.Read(ctx, metastore.Range{Key: "/n"})
				if err != nil {
					return err
				}
				n, at := 0, int64(0)
				if len(got[0]) == 1 {
					at = got[0][0].Modified
					if _, err := fmt.Sscan(string(got[0][0].Value), &n); err != nil {
						return err
					}
				}
				ok, _, err := kv.Txn(ctx, []metastore.Cond{{Key: "/n", Modified: at}}, []metastore.Write{w("/n", fmt.Sprint(n+1))})
				if err != nil {
					return err
				}
				if ok {
					done++
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	got, _, err := kv.Read(t.Context(), metastore.Range{Key: "/n"})
	if err != nil || string(got[0][0].Value) != fmt.Sprint(writers*each) {
		t.Errorf("counted %s, want %d (%v)", got[0][0].Value, writers*each, err)
	}
}

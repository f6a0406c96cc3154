package bucket_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"reprise/pkg/errs"
	"reprise/pkg/snapshot/bucket"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *minioFlag+*gcsFlag+*azuriteFlag != "" { // they keep connections of libraries that do not close them
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestObjects(t *testing.T) {
	stores(t, func(t *testing.T, b *bucket.Bucket) {
		ctx := t.Context()
		if _, err := b.Open(ctx, "1/x"); !errs.Is(err, errs.NotFound) {
			t.Fatalf("what is not there was opened: %v", err)
		}
		must(t, b.Delete(ctx, "1/x"))
		large := strings.Repeat("0123456789abcdef", 9<<20/16) // in parts, where a service has them
		for key, text := range map[string]string{"1/x": "ex", "1/lsn_0-snap_1a/y.sst": "", "1/large": large, "2/z": "zett"} {
			must(t, b.Put(ctx, key, strings.NewReader(text)))
		}
		if got := read(t, b, "1/large"); got != large {
			t.Fatalf("read %d bytes of %d", len(got), len(large))
		}
		must(t, b.Delete(ctx, "1/large"))
		must(t, b.Put(ctx, "1/x", strings.NewReader("eks")))
		if got := read(t, b, "1/x"); got != "eks" {
			t.Fatalf("read %q", got)
		}
		list := func() (all string) {
			sizes := map[string]int64{}
			must(t, b.List(ctx, "1/", func(key string, size int64) error { sizes[key] = size; return nil }))
			return fmt.Sprint(sizes)
		}
		if got, want := list(), "map[1/lsn_0-snap_1a/y.sst:0 1/x:3]"; got != want {
			t.Fatalf("list %s, want %s", got, want)
		}
		must(t, b.Delete(ctx, "1/x"))
		if got, want := list(), "map[1/lsn_0-snap_1a/y.sst:0]"; got != want {
			t.Fatalf("list %s, want %s", got, want)
		}
	})
}

func read(t *testing.T, b *bucket.Bucket, key string) string {
	t.Helper()
	r, err := b.Open(t.Context(), key)
	must(t, err)
	text, err := io.ReadAll(r)
	must(t, err)
	must(t, r.Close())
	return string(text)
}

// A write whose source breaks off leaves what was there.
func TestHalfAnObject(t *testing.T) {
	stores(t, func(t *testing.T, b *bucket.Bucket) {
		must(t, b.Put(t.Context(), "x", strings.NewReader("old")))
		for _, half := range []string{"half", strings.Repeat("half", 9<<20/4)} {
			broken := io.MultiReader(strings.NewReader(half), &failing{})
			if err := b.Put(t.Context(), "x", broken); err == nil {
				t.Fatal("half an object was put")
			}
		}
		if v, _, err := b.Load(t.Context(), "x"); err != nil || string(v) != "old" {
			t.Fatalf("read %q, %v", v, err)
		}
	})
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestPointers(t *testing.T) {
	stores(t, func(t *testing.T, b *bucket.Bucket) {
		ctx := t.Context()
		const key = "1/latest.json"
		if _, _, err := b.Load(ctx, key); !errs.Is(err, errs.NotFound) {
			t.Fatalf("what is not there was loaded: %v", err)
		}
		swap := func(value, version string, conflict bool) {
			t.Helper()
			err := b.Swap(ctx, key, []byte(value), version)
			if conflict != errs.Is(err, errs.Conflict) || !conflict && err != nil {
				t.Fatalf("swap to %q: %v, want a conflict: %v", value, err, conflict)
			}
		}
		load := func(want string) string {
			t.Helper()
			v, version, err := b.Load(ctx, key)
			must(t, err)
			if string(v) != want {
				t.Fatalf("loaded %q, want %q", v, want)
			}
			return version
		}
		swap("one", "", false)
		swap("uno", "", true)
		first := load("one")
		swap("two", first, false)
		swap("due", first, true)
		swap("due", "", true)
		second := load("two")
		must(t, b.Delete(ctx, key))
		swap("three", second, true)
		swap("three", "", false)
		load("three")
	})
}

// Of many who swap at once, one does.
func TestSwapsAtOnce(t *testing.T) {
	stores(t, func(t *testing.T, b *bucket.Bucket) {
		must(t, b.Swap(t.Context(), "p", []byte("start"), ""))
		_, version, err := b.Load(t.Context(), "p")
		must(t, err)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 8 {
			wg.Go(func() {
				err := b.Swap(t.Context(), "p", fmt.Append(nil, i), version)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errs.Is(err, errs.Conflict), errs.Is(err, errs.Unavailable): // or another one has the lock
				default:
					t.Errorf("swap %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Fatalf("%d have won", won)
		}
	})
}

func TestOpen(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "nowhere.json"))
	for _, row := range []struct {
		destination, endpoint string
		text                  string
	}{
		{"ftp://b", "", "none of"},
		{"b/prefix", "", "none of"},
		{"s3://", "", "names no bucket"},
		{"s3://b?region=x", "", "only a bucket"},
		{"s3://b", "http://127.0.0.1:1", "aws-allow-http"},
		{"s3://b", "127.0.0.1:1", "no URL"},
		{"file://folder", "", "file:///path"},
		{"gs://b", "", "nowhere.json"},
		{"az://b", "", "AccountName is required"},
	} {
		_, err := bucket.Open(t.Context(), bucket.Config{Destination: row.destination, AWS: bucket.AWS{EndpointURL: row.endpoint, Region: "x"}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: %v, want %q", row.destination, err, row.text)
		}
	}
}

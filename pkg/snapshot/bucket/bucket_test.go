package bucket_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"reprise/pkg/errs"
	"reprise/pkg/snapshot/bucket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeS3 is the part of S3 that is used here, with its two conditions.
type fakeS3 struct {
	mu      sync.Mutex
	objects map[string]string
}

func etag(body string) string {
	sum := md5.Sum([]byte(body))
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func (s *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket != "b" {
		fail(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	body, there := s.objects[key]
	switch {
	case r.Method == http.MethodGet && key == "":
		s.list(w, r.URL.Query().Get("prefix"))
	case r.Method == http.MethodPut:
		s.put(w, r, key, body, there)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		fail(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("ETag", etag(body))
		w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
		_, _ = io.WriteString(w, body)
	}
}

func (s *fakeS3) put(w http.ResponseWriter, r *http.Request, key, was string, there bool) {
	body, err := io.ReadAll(r.Body)
	match := r.Header.Get("If-Match")
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, "IncompleteBody")
	case r.Header.Get("If-None-Match") == "*" && there:
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case match != "" && !there:
		fail(w, http.StatusNotFound, "NoSuchKey")
	case match != "" && match != etag(was):
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		s.objects[key] = string(body)
		w.Header().Set("ETag", etag(string(body)))
	}
}

func (s *fakeS3) list(w http.ResponseWriter, prefix string) {
	type object struct {
		Key          string
		Size         int
		LastModified string
		ETag         string
	}
	out := struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []object
	}{}
	for k, v := range s.objects {
		if strings.HasPrefix(k, prefix) {
			out.Contents = append(out.Contents, object{Key: k, Size: len(v), LastModified: "2026-01-01T00:00:00Z", ETag: etag(v)})
		}
	}
	_ = xml.NewEncoder(w).Encode(out)
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

func openS3(t *testing.T) (*fakeS3, *bucket.Bucket) {
	s := &fakeS3{objects: map[string]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	b, err := bucket.Open(t.Context(), bucket.Config{Destination: "s3://b/some/prefix/", AWS: bucket.AWS{
		Region: "eu-1", AccessKeyID: "id", SecretAccessKey: "secret", EndpointURL: server.URL, AllowHTTP: true,
	}})
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return s, b
}

// stores are those that need no cloud.
func stores(t *testing.T, f func(t *testing.T, b *bucket.Bucket)) {
	t.Run("memory", func(t *testing.T) { f(t, bucket.Memory()) })
	t.Run("file", func(t *testing.T) {
		b, err := bucket.Open(t.Context(), bucket.Config{Destination: "file://" + t.TempDir()})
		must(t, err)
		f(t, b)
	})
	t.Run("s3", func(t *testing.T) {
		_, b := openS3(t)
		f(t, b)
	})
}

func TestObjects(t *testing.T) {
	stores(t, func(t *testing.T, b *bucket.Bucket) {
		ctx := t.Context()
		if _, err := b.Open(ctx, "1/x"); !errs.Is(err, errs.NotFound) {
			t.Fatalf("what is not there was opened: %v", err)
		}
		must(t, b.Delete(ctx, "1/x"))
		for key, text := range map[string]string{"1/x": "ex", "1/lsn_0-snap_1a/y.sst": "", "2/z": "zett"} {
			must(t, b.Put(ctx, key, strings.NewReader(text)))
		}
		must(t, b.Put(ctx, "1/x", strings.NewReader("eks")))
		r, err := b.Open(ctx, "1/x")
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		must(t, r.Close())
		if string(text) != "eks" {
			t.Fatalf("read %q", text)
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

// A write whose source breaks off leaves what was there.
func TestHalfAnObject(t *testing.T) {
	stores(t, func(t *testing.T, b *bucket.Bucket) {
		must(t, b.Put(t.Context(), "x", strings.NewReader("old")))
		broken := io.MultiReader(strings.NewReader("half"), &failing{})
		if err := b.Put(t.Context(), "x", broken); err == nil {
			t.Fatal("half an object was put")
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
	} {
		_, err := bucket.Open(t.Context(), bucket.Config{Destination: row.destination, AWS: bucket.AWS{EndpointURL: row.endpoint, Region: "x"}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: %v, want %q", row.destination, err, row.text)
		}
	}
}

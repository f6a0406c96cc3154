package bucket_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"reprise/pkg/errs"
	"reprise/pkg/snapshot/bucket"
)

// fakeGCS is the part of Google Cloud Storage that is used here. A page of a list has two names.
type fakeGCS struct {
	mu      sync.Mutex
	objects map[string]gcsObject
	last    int64 // generation
	refuses int   // status of all answers, if set
}

type gcsObject struct {
	body       string
	generation int64
}

func (s *fakeGCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, of := strings.CutPrefix(r.URL.Path, "/storage/v1/b/b/o/")
	object, there := s.objects[key]
	switch {
	case s.refuses != 0:
		http.Error(w, "refused", s.refuses)
	case r.Method == http.MethodPost && r.URL.Path == "/upload/storage/v1/b/b/o" && r.URL.Query().Get("uploadType") == "media":
		s.insert(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/storage/v1/b/b/o":
		s.list(w, r)
	case !of || !there:
		http.Error(w, "no such object", http.StatusNotFound)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && r.URL.Query().Get("alt") == "media":
		w.Header().Set("X-Goog-Generation", strconv.FormatInt(object.generation, 10))
		_, _ = io.WriteString(w, object.body)
	default:
		http.Error(w, "not here", http.StatusNotImplemented)
	}
}

func (s *fakeGCS) insert(w http.ResponseWriter, r *http.Request) {
	name, match := r.URL.Query().Get("name"), r.URL.Query().Get("ifGenerationMatch")
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		http.Error(w, "incomplete", http.StatusBadRequest)
	case match != "" && match != strconv.FormatInt(s.objects[name].generation, 10): // 0: there is none
		http.Error(w, "conditionNotMet", http.StatusPreconditionFailed)
	default:
		s.last++
		s.objects[name] = gcsObject{string(body), s.last}
		_, _ = fmt.Fprintf(w, `{"name":%q}`, name)
	}
}

func (s *fakeGCS) list(w http.ResponseWriter, r *http.Request) {
	type item struct {
		Name string `json:"name"`
		Size string `json:"size"`
	}
	var page struct {
		Items         []item `json:"items,omitempty"`
		NextPageToken string `json:"nextPageToken,omitempty"`
	}
	var names []string
	for name := range s.objects {
		if strings.HasPrefix(name, r.URL.Query().Get("prefix")) && name > r.URL.Query().Get("pageToken") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		if i == 2 {
			page.NextPageToken = names[1]
			break
		}
		page.Items = append(page.Items, item{name, strconv.Itoa(len(s.objects[name].body))})
	}
	_ = json.NewEncoder(w).Encode(page)
}

func openGCS(t *testing.T) (*fakeGCS, *bucket.Bucket) {
	s := &fakeGCS{objects: map[string]gcsObject{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
	return s, open(t, bucket.Config{Destination: "gs://b/some/prefix"})
}

// What a service says decides what is done next.
func TestGCSCodes(t *testing.T) {
	s, b := openGCS(t)
	for status, want := range map[int]errs.Code{
		http.StatusNotFound: errs.NotFound, http.StatusPreconditionFailed: errs.Conflict, http.StatusTooManyRequests: errs.Unavailable,
		http.StatusServiceUnavailable: errs.Unavailable, http.StatusForbidden: errs.Invalid, http.StatusUnauthorized: errs.Invalid,
	} {
		s.mu.Lock()
		s.refuses = status
		s.mu.Unlock()
		if _, err := b.Open(t.Context(), "x"); !errs.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
		if err := b.Put(t.Context(), "x", strings.NewReader("y")); !errs.Is(err, want) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

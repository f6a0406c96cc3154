package bucket_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"reprise/pkg/snapshot/bucket"
)

// fakeS3 is the part of S3 that is used here, with its two conditions.
type fakeS3 struct {
	mu      sync.Mutex
	objects map[string]string
	parts   map[string]string // of uploads that are not complete, by number; there is one at a time
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
	part := r.URL.Query().Get("partNumber")
	switch {
	case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
		s.parts = map[string]string{}
		_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>%s</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>", key)
	case r.Method == http.MethodPost:
		s.complete(w, key)
	case r.Method == http.MethodDelete && r.URL.Query().Has("uploadId"):
		s.parts = nil
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut && part != "":
		s.part(w, r, part)
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

func (s *fakeS3) part(w http.ResponseWriter, r *http.Request, number string) {
	body, err := io.ReadAll(r.Body)
	if err != nil || s.parts == nil {
		fail(w, http.StatusBadRequest, "NoSuchUpload")
		return
	}
	s.parts[number] = string(body)
	w.Header().Set("ETag", etag(string(body)))
}

func (s *fakeS3) complete(w http.ResponseWriter, key string) {
	body := ""
	for i := 1; i <= len(s.parts); i++ {
		body += s.parts[strconv.Itoa(i)]
	}
	s.objects[key], s.parts = body, nil
	_, _ = fmt.Fprintf(w, "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>%s</Key><ETag>%s</ETag></CompleteMultipartUploadResult>", key, "x")
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

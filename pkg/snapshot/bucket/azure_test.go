package bucket_test

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"reprise/pkg/snapshot/bucket"
)

// fakeAzure is the part of Azure Blob Storage that is used here, with its two conditions.
type fakeAzure struct {
	mu     sync.Mutex
	blobs  map[string]azureBlob
	blocks map[string]string // not committed, by blob and id
	last   int
}

type azureBlob struct{ body, etag string }

func (s *fakeAzure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, in := strings.CutPrefix(r.URL.Path, "/account/b")
	key, comp := strings.TrimPrefix(path, "/"), r.URL.Query().Get("comp")
	blob, there := s.blobs[key]
	switch {
	case !in:
		azureFail(w, http.StatusNotFound, "ContainerNotFound")
	case !strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey account:"):
		azureFail(w, http.StatusForbidden, "AuthenticationFailed")
	case r.Method == http.MethodGet && comp == "list":
		s.list(w, r.URL.Query().Get("prefix"))
	case r.Method == http.MethodPut:
		s.put(w, r, key, comp)
	case !there:
		azureFail(w, http.StatusNotFound, "BlobNotFound")
	case r.Method == http.MethodDelete:
		delete(s.blobs, key)
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodGet && comp == "":
		w.Header().Set("ETag", blob.etag)
		w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
		_, _ = io.WriteString(w, blob.body)
	default:
		azureFail(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func (s *fakeAzure) put(w http.ResponseWriter, r *http.Request, key, comp string) {
	b, err := io.ReadAll(r.Body)
	blob, there := s.blobs[key]
	body, match := string(b), r.Header.Get("If-Match")
	if err == nil && comp == "blocklist" {
		body, err = s.joined(key, b)
	}
	switch {
	case err != nil:
		azureFail(w, http.StatusBadRequest, "InvalidInput")
	case comp == "block":
		s.blocks[key+" "+r.URL.Query().Get("blockid")] = body
		w.WriteHeader(http.StatusCreated)
	case r.Header.Get("If-None-Match") == "*" && there:
		azureFail(w, http.StatusConflict, "BlobAlreadyExists")
	case match != "" && (!there || match != blob.etag):
		azureFail(w, http.StatusPreconditionFailed, "ConditionNotMet")
	default:
		s.last++
		s.blobs[key] = azureBlob{body, fmt.Sprintf(`"0x%d"`, s.last)}
		w.Header().Set("ETag", s.blobs[key].etag)
		w.WriteHeader(http.StatusCreated)
	}
}

// joined is what a list of blocks stands for.
func (s *fakeAzure) joined(key string, list []byte) (body string, err error) {
	var blocks struct {
		Latest []string `xml:"Latest"`
	}
	if err := xml.Unmarshal(list, &blocks); err != nil {
		return "", err
	}
	for _, block := range blocks.Latest {
		part, there := s.blocks[key+" "+block]
		if !there {
			return "", fmt.Errorf("no block %s", block)
		}
		body += part
	}
	return body, nil
}

func (s *fakeAzure) list(w http.ResponseWriter, prefix string) {
	type properties struct {
		LastModified  string `xml:"Last-Modified"`
		ETag          string `xml:"Etag"`
		ContentLength int    `xml:"Content-Length"`
	}
	type entry struct {
		Name       string     `xml:"Name"`
		Properties properties `xml:"Properties"`
	}
	out := struct {
		XMLName xml.Name `xml:"EnumerationResults"`
		Blobs   []entry  `xml:"Blobs>Blob"`
	}{}
	for name, b := range s.blobs {
		if strings.HasPrefix(name, prefix) {
			out.Blobs = append(out.Blobs, entry{name, properties{"Thu, 01 Jan 2026 00:00:00 GMT", b.etag, len(b.body)}})
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}

func azureFail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Ms-Error-Code", code)
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

// azureEnv says where an account is, and how to get there.
func azureEnv(t *testing.T, account, host string) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", account)
	t.Setenv("AZURE_STORAGE_DOMAIN", host)
	t.Setenv("AZURE_STORAGE_PROTOCOL", "http")
	t.Setenv("AZURE_STORAGE_KEY", base64.StdEncoding.EncodeToString([]byte("secret")))
}

func openAzure(t *testing.T) (*fakeAzure, *bucket.Bucket) {
	s := &fakeAzure{blobs: map[string]azureBlob{}, blocks: map[string]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	azureEnv(t, "account", strings.TrimPrefix(server.URL, "http://"))
	return s, open(t, bucket.Config{Destination: "az://b/some/prefix"})
}

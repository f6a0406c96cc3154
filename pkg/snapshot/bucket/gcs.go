package bucket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"reprise/pkg/errs"
)

const (
	gcsHost  = "https://storage.googleapis.com"
	gcsScope = "https://www.googleapis.com/auth/devstorage.read_write"
	// gcsEmulator is the variable with which the libraries of Google are told of another host, without credentials.
	gcsEmulator = "STORAGE_EMULATOR_HOST"
	// gcsConnections is how many connections are kept for the next request.
	gcsConnections = 16
	// gcsErrorBytes is how much of an error is shown.
	gcsErrorBytes = 1 << 10
	// gcsAnswerBytes is how long a page of a list may be: 1000 names of at most 1 KiB.
	gcsAnswerBytes = 4 << 20
)

// gcs is Google Cloud Storage by its JSON API. The library of Google would do it for gocloud.dev, at the price of 24 MiB in
// each worker (ADR 23).
type gcs struct {
	place
	host      string // URL without a slash at the end
	client    *http.Client
	transport *http.Transport
}

// openGCS takes credentials from where the tools of Google have them.
func openGCS(ctx context.Context, at place, _ Config) (store, error) {
	g := &gcs{place: at, host: gcsHost, transport: http.DefaultTransport.(*http.Transport).Clone()} //nolint:forcetypeassert // it is that
	g.transport.MaxIdleConnsPerHost = gcsConnections
	g.client = &http.Client{Transport: g.transport}
	if host := os.Getenv(gcsEmulator); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		g.host = strings.TrimSuffix(host, "/")
		return g, nil
	}
	creds, err := google.FindDefaultCredentials(context.WithValue(ctx, oauth2.HTTPClient, g.client), gcsScope)
	if err != nil {
		return nil, err
	}
	g.client = &http.Client{Transport: &oauth2.Transport{Base: g.transport, Source: creds.TokenSource}}
	return g, nil
}

// Close implements store.
func (g *gcs) Close() error {
	g.transport.CloseIdleConnections()
	return nil
}

// object is the URL path of an object.
func (g *gcs) object(key string) string {
	return "/storage/v1/b/" + url.PathEscape(g.bucket) + "/o/" + url.PathEscape(g.prefix+key)
}

// do sends a request. The caller closes the body of the answer.
func (g *gcs) do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, g.host+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, errs.With(errs.Invalid, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	res, err := g.client.Do(req)
	if err != nil {
		return nil, errs.With(errs.Unavailable, err) // also of a token
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, gcsErrorBytes))
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	return nil, refusal(res, text, err)
}

// refusal is the error of an answer.
func refusal(res *http.Response, text []byte, err error) error {
	said := fmt.Errorf("%s %s: %s: %s", res.Request.Method, res.Request.URL.Path, res.Status, bytes.TrimSpace(text))
	if err != nil {
		said = fmt.Errorf("%w, and %w", said, err)
	}
	switch code := res.StatusCode; {
	case code == http.StatusNotFound:
		return errs.With(errs.NotFound, said)
	case code == http.StatusPreconditionFailed, code == http.StatusConflict:
		return errs.With(errs.Conflict, said)
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return errs.With(errs.Unavailable, said)
	default:
		return errs.With(errs.Invalid, fmt.Errorf("%w: check the credentials and worker.snapshots.destination", said))
	}
}

// Open implements snapshot.Objects.
func (g *gcs) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	body, _, err := g.open(ctx, key)
	return body, err
}

// open returns the object and its generation.
func (g *gcs) open(ctx context.Context, key string) (io.ReadCloser, string, error) {
	res, err := g.do(ctx, http.MethodGet, g.object(key), url.Values{"alt": {"media"}}, nil) //nolint:bodyclose // whoever opened it closes it
	if err != nil {
		return nil, "", err
	}
	return gcsBody{res.Body}, res.Header.Get("X-Goog-Generation"), nil
}

// gcsBody gives errors a code.
type gcsBody struct{ io.ReadCloser }

// Read implements io.Reader.
func (b gcsBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errs.With(errs.Unavailable, err)
	}
	return n, err
}

// Put implements snapshot.Objects. The length is not told before: an object whose source breaks off never begins to be.
func (g *gcs) Put(ctx context.Context, key string, r io.Reader) error {
	return g.insert(ctx, key, r, url.Values{})
}

func (g *gcs) insert(ctx context.Context, key string, r io.Reader, query url.Values) error {
	query.Set("uploadType", "media")
	query.Set("name", g.prefix+key)
	res, err := g.do(ctx, http.MethodPost, "/upload/storage/v1/b/"+url.PathEscape(g.bucket)+"/o", query, r)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Delete implements snapshot.Objects.
func (g *gcs) Delete(ctx context.Context, key string) error {
	res, err := g.do(ctx, http.MethodDelete, g.object(key), url.Values{}, nil)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// gcsPage is a page of a list.
type gcsPage struct {
	Items []struct {
		Name string `json:"name"`
		Size string `json:"size"` // decimal
	} `json:"items"`
	NextPageToken string `json:"nextPageToken"`
}

// List implements snapshot.Objects.
func (g *gcs) List(ctx context.Context, prefix string, f func(key string, sizeBytes int64) error) error {
	for token := ""; ; {
		page, err := g.page(ctx, prefix, token)
		if err != nil {
			return err
		}
		for _, o := range page.Items {
			size, err := strconv.ParseInt(o.Size, 10, 64)
			if err != nil {
				return errs.With(errs.Unavailable, fmt.Errorf("list: size of %s: %w", o.Name, err))
			}
			if err := f(strings.TrimPrefix(o.Name, g.prefix), size); err != nil {
				return err
			}
		}
		if token = page.NextPageToken; token == "" {
			return nil
		}
	}
}

func (g *gcs) page(ctx context.Context, prefix, token string) (page gcsPage, err error) {
	query := url.Values{"prefix": {g.prefix + prefix}, "fields": {"items(name,size),nextPageToken"}}
	if token != "" {
		query.Set("pageToken", token)
	}
	res, err := g.do(ctx, http.MethodGet, "/storage/v1/b/"+url.PathEscape(g.bucket)+"/o", query, nil) //nolint:bodyclose // below
	if err != nil {
		return page, err
	}
	defer errs.CloseInto(&err, res.Body)
	if err := json.NewDecoder(io.LimitReader(res.Body, gcsAnswerBytes)).Decode(&page); err != nil {
		return page, errs.With(errs.Unavailable, fmt.Errorf("list: %w", err))
	}
	return page, nil
}

// Load implements snapshot.Pointers. A version is a generation.
func (g *gcs) Load(ctx context.Context, key string) (value []byte, version string, err error) {
	body, version, err := g.open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer errs.CloseInto(&err, body)
	if version == "" {
		return nil, "", errVersionless
	}
	value, err = readPointer(key, body)
	return value, version, err
}

// Swap implements snapshot.Pointers.
func (g *gcs) Swap(ctx context.Context, key string, value []byte, version string) error {
	if version == "" {
		version = "0" // the generation of what is not there
	}
	return g.insert(ctx, key, bytes.NewReader(value), url.Values{"ifGenerationMatch": {version}})
}

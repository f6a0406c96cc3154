package registry

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/host"
	"reprise/pkg/identity"
	"reprise/pkg/lambda"
	"reprise/pkg/schema"
	"reprise/pkg/serviceproto"
)

const (
	triesMax         = 4
	firstRetryDelay  = 100 * time.Millisecond // doubles
	manifestBytesMax = 16 << 20
	detailBytesMax   = 512 // of an answer that is quoted in an error
)

// The codes of discovery.
const (
	codeUnreachable = "META0003" // no answer, or one that is no success
	codeManifest    = "META0013" // the answer is no manifest
	codeHTTP1       = "META0014" // the endpoint speaks only HTTP/1.1
	codeBidi        = "META0015" // bidirectional over a transport that can't
)

// discovered is a good answer of an endpoint.
type discovered struct {
	manifest []byte
	sdk      string // what the endpoint says it is
	major    int    // HTTP version; 0: none
	minor    int
}

type discoverer struct {
	cfg Config
	h   host.Host
}

func newDiscoverer(cfg Config, h host.Host) *discoverer { return &discoverer{cfg: cfg, h: h} }

// discover asks the endpoint of d for its manifest and returns d with what it says.
func (r *Registrar) discover(ctx context.Context, d *storedv1.Deployment) (*storedv1.Deployment, error) {
	got, err := r.d.ask(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := schema.ParseManifest(got.manifest)
	if err != nil {
		return nil, err
	}
	d.SdkVersion = got.sdk
	d.Http1 = got.major == 1
	next, err := m.Deployment(d)
	if err != nil {
		return nil, err
	}
	switch {
	case !next.GetBidi():
	case next.GetLambda() != nil:
		return nil, failure(codeBidi, "%s announces bidirectional streams, but functions can't have any", d.GetLambda().GetArn())
	case got.major == 1 && got.minor == 0:
		return nil, failure(codeBidi, "%s announces bidirectional streams over HTTP/1.0", d.GetUri())
	}
	return next, nil
}

// ask requests the manifest, again after faults that may pass.
func (s *discoverer) ask(ctx context.Context, d *storedv1.Deployment) (discovered, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DiscoveryTimeout)
	defer cancel()
	delay := firstRetryDelay
	once := s.try
	if d.GetLambda() != nil {
		once = s.tryFunction
	}
	for try := 1; ; try++ {
		got, retry, err := once(ctx, d)
		if err == nil || !retry || try == triesMax || ctx.Err() != nil {
			return got, err
		}
		timer := s.h.Clock.NewTimer(delay)
		delay *= 2
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return discovered{}, err
		}
	}
}

// try makes one request. retry tells whether the fault may pass.
func (s *discoverer) try(ctx context.Context, d *storedv1.Deployment) (got discovered, retry bool, err error) {
	req, err := s.request(ctx, d)
	if err != nil {
		return discovered{}, false, failure(codeUnreachable, "%s: %s", d.GetUri(), err)
	}
	var notHTTP2 atomic.Bool
	transport := s.transport(req.URL.Scheme, d.GetHttp1(), &notHTTP2)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req) // not a client: redirects are not followed
	if err != nil {
		if notHTTP2.Load() && req.URL.Scheme == "http" && !d.GetHttp1() {
			return discovered{}, false, failure(codeHTTP1, "%s: the server possibly supports only HTTP1.1, consider discovery with --use-http1.1", d.GetUri())
		}
		return discovered{}, true, failure(codeUnreachable, "%s: %s", d.GetUri(), err)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it matters
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		detail, _ := io.ReadAll(io.LimitReader(resp.Body, detailBytesMax)) // only quoted
		return discovered{}, passes(resp.StatusCode), failure(codeUnreachable, "%s answered %s: %q", req.URL, resp.Status, detail)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, manifestBytesMax+1))
	if err != nil {
		return discovered{}, true, failure(codeUnreachable, "%s: reading the manifest: %s", req.URL, err)
	}
	got, err = judge(req.URL.String(), resp.Header.Get("Content-Type"), body)
	got.sdk, got.major, got.minor = resp.Header.Get("X-Restate-Server"), resp.ProtoMajor, resp.ProtoMinor
	return got, false, err
}

// judge tells whether a successful answer is a manifest.
func judge(from, contentType string, body []byte) (discovered, error) {
	if _, ok := serviceproto.ManifestVersion(contentType); !ok {
		return discovered{}, failure(codeManifest, "%s: content-type %q is none of %s", from, contentType, serviceproto.AcceptHeader())
	}
	if len(body) > manifestBytesMax {
		return discovered{}, failure(codeManifest, "%s: the manifest is larger than %d bytes", from, manifestBytesMax)
	}
	return discovered{manifest: body}, nil
}

// tryFunction is try for a function.
func (s *discoverer) tryFunction(ctx context.Context, d *storedv1.Deployment) (got discovered, retry bool, err error) {
	l := d.GetLambda()
	if s.cfg.Lambda == nil {
		return discovered{}, false, failure(codeUnreachable, "%s: this server does not call functions", l.GetArn())
	}
	q := lambda.Request{Method: http.MethodGet, Path: discoverPath}
	for _, h := range s.headers(d) {
		q.Headers = append(q.Headers, lambda.Header{Name: h.GetName(), Value: h.GetValue()})
	}
	resp, err := s.cfg.Lambda.Invoke(ctx, lambda.Function{ARN: l.GetArn(), Role: l.GetAssumeRoleArn()}, q)
	if err != nil {
		return discovered{}, lambda.Passes(err), failure(codeUnreachable, "%s: %s", l.GetArn(), err)
	}
	if resp.Status < 200 || resp.Status > 299 {
		detail := resp.Body[:min(len(resp.Body), detailBytesMax)]
		return discovered{}, passes(resp.Status), failure(codeUnreachable, "%s answered %d: %q", l.GetArn(), resp.Status, detail)
	}
	got, err = judge(l.GetArn(), resp.Get("content-type"), resp.Body)
	got.sdk = resp.Get("x-restate-server")
	return got, false, err
}

// discoverPath is what a manifest is asked for at, without the deployment's base path.
const discoverPath = "/discover"

// headers are those of a request to d: a later one replaces an earlier one. Names are lower case.
func (s *discoverer) headers(d *storedv1.Deployment) []*storedv1.Header {
	list := []*storedv1.Header{{Name: "accept", Value: serviceproto.AcceptHeader()}}
	set := func(h *storedv1.Header) {
		list = slices.DeleteFunc(list, func(old *storedv1.Header) bool { return old.GetName() == h.GetName() })
		list = append(list, h)
	}
	if s.cfg.Identity != nil {
		set(&storedv1.Header{Name: identity.HeaderScheme, Value: identity.Scheme})
		set(&storedv1.Header{Name: identity.HeaderToken, Value: s.cfg.Identity.Token(discoverPath, "")})
	}
	for _, h := range s.cfg.Headers {
		if printable(h.GetValue()) {
			set(h)
		}
	}
	for _, h := range d.GetAdditionalHeaders() {
		set(h)
	}
	return list
}

func (s *discoverer) request(ctx context.Context, d *storedv1.Deployment) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.GetUri(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.URL = req.URL.JoinPath("discover") // keeps the query
	req.Header.Set("User-Agent", "")       // else the library names itself
	for _, h := range s.headers(d) {
		req.Header.Set(h.GetName(), h.GetValue())
		if h.GetName() == "host" {
			req.Host = h.GetValue()
		}
	}
	return req, nil
}

// transport speaks as invocations will: HTTP/2 with prior knowledge over http, what TLS agrees on over https,
// HTTP/1.1 if asked for. notHTTP2 is set when the other side does
// not begin as an HTTP/2 server does.
func (s *discoverer) transport(scheme string, http1 bool, notHTTP2 *atomic.Bool) *http.Transport {
	var p http.Protocols
	p.SetHTTP1(http1 || scheme == "https")
	p.SetHTTP2(!http1 && scheme == "https")
	p.SetUnencryptedHTTP2(!http1 && scheme == "http")
	connect := s.cfg.Connect
	if connect == nil {
		connect = (&net.Dialer{Timeout: s.cfg.ConnectTimeout}).DialContext
	}
	t := &http.Transport{
		Protocols:          &p,
		DisableCompression: true,
		TLSClientConfig:    s.cfg.TLS.Clone(),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := connect(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &sniffer{Conn: c, notHTTP2: notHTTP2}, nil
		},
	}
	return t
}

// sniffer looks at the first bytes that come in: those of an HTTP/2 server are a SETTINGS frame.
type sniffer struct {
	net.Conn

	notHTTP2 *atomic.Bool
	seen     int
}

const (
	frameTypeAt   = 3 // offset in a frame's header
	frameSettings = 4
)

func (c *sniffer) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if at := frameTypeAt - c.seen; at >= 0 && at < n && b[at] != frameSettings {
		c.notHTTP2.Store(true)
	}
	c.seen += n
	return n, err
}

// passes tells whether an endpoint that answers so may answer well soon.
func passes(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// failure is a bad answer of an endpoint. Tools expect its code in the text, too.
func failure(code, format string, args ...any) error {
	return &schema.Error{Code: code, Status: http.StatusInternalServerError, Message: "[" + code + "] " + fmt.Sprintf(format, args...)}
}

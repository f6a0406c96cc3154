package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"
)

const (
	apiVersionMin  = 2
	apiVersionMax  = 4
	replyBytesMax  = 256 << 20 // of one answer
	detailBytesMax = 1 << 20   // of an error
)

// client talks to the admin API.
type client struct {
	http   *http.Client
	name   string // of the server, for people
	base   string // without prefix
	prefix string // /v4, or nothing
	token  string
	server serverVersion // empty when the server did not say
	trace  func(string)
}

// options of the connection.
type connection struct {
	connect, request time.Duration
	insecure         bool
	trace            func(string) // told of each request
}

// serverVersion is what /version answers.
type serverVersion struct {
	Version string  `json:"version"`
	Min     int     `json:"min_admin_api_version"`
	Max     int     `json:"max_admin_api_version"`
	Ingress *string `json:"ingress_endpoint"`
}

// serverError is an error that the server answered.
type serverError struct {
	code, message string
	status        int
	url           string
}

func (e *serverError) Error() string {
	code := e.code
	if code == "" {
		code = "<UNKNOWN>"
	}
	return fmt.Sprintf("%s %s\n  -> Http status code %d %s at '%s'", code, visible(e.message), e.status, http.StatusText(e.status), e.url)
}

func newClient(s settings, c connection) *client {
	dialer := &net.Dialer{Timeout: c.connect}
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			InsecureSkipVerify: c.insecure, //nolint:gosec // asked for by a flag of that name
		},
		ForceAttemptHTTP2: true,
	}
	base := s.Admin
	if path, ok := strings.CutPrefix(base, "unix:"); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", strings.TrimPrefix(path, "//"))
		}
	}
	return &client{http: &http.Client{Transport: transport, Timeout: c.request}, name: s.Admin, base: base, token: s.Token, trace: c.trace}
}

// handshake learns which version of the API both sides speak.
func (c *client) handshake(ctx context.Context, warn func(string)) error {
	err := c.call(ctx, http.MethodGet, "/version", nil, &c.server)
	if err == nil && c.server.Max > 0 {
		if c.server.Min > apiVersionMax || c.server.Max < apiVersionMin {
			return fmt.Errorf("this command line speaks admin API versions %d to %d and the server '%s' %d to %d: they are not compatible",
				apiVersionMin, apiVersionMax, c.name, c.server.Min, c.server.Max)
		}
		c.prefix = fmt.Sprintf("/v%d", min(apiVersionMax, c.server.Max))
		return nil
	}
	if herr := c.call(ctx, http.MethodGet, "/health", nil, nil); herr != nil {
		return hint(fmt.Errorf("unable to connect to the server '%s'. Please make sure that it is running and reachable.\n  -> %w", c.name, herr),
			"'reprise dev' runs one here; RESTATE_ADMIN_URL, or 'reprise config', says where another one is.")
	}
	warn(fmt.Sprintf("the server '%s' does not say its version: %v", c.name, err))
	return nil
}

// get decodes the answer into out.
func (c *client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

// call sends a request and decodes a successful answer into out, if it is given.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	_, err := c.send(ctx, method, path, in, out)
	return err
}

// send is call with the status of the answer.
func (c *client) send(ctx context.Context, method, path string, in, out any) (int, error) {
	resp, err := c.do(ctx, method, path, in, "application/json")
	if err != nil {
		var refused *serverError
		if errors.As(err, &refused) {
			return refused.status, err
		}
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // read whole, or of no more use
	b, err := io.ReadAll(io.LimitReader(resp.Body, replyBytesMax))
	if err != nil {
		return 0, fmt.Errorf("answer of %s: %w", resp.Request.URL, err)
	}
	if out == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return resp.StatusCode, fmt.Errorf("answer of %s: %w", resp.Request.URL, err)
	}
	return resp.StatusCode, nil
}

// do sends a request and returns an answer of success; the caller closes its body.
func (c *client) do(ctx context.Context, method, path string, in any, accept string) (*http.Response, error) {
	target := c.base + c.prefix + path
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("request to %s: %w", target, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "reprise-cli/"+version+" "+runtime.GOOS+"-"+runtime.GOARCH)
	req.Header.Set("Accept", accept)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if os.IsTimeout(err) {
			return nil, hint(err, "--connect-timeout and --request-timeout give it longer.")
		}
		return nil, err
	}
	c.trace(fmt.Sprintf("%s %s -> %s", method, target, resp.Status))
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // an error is all that is wanted of it
	b, err := io.ReadAll(io.LimitReader(resp.Body, detailBytesMax))
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", target, err)
	}
	return nil, asServerError(resp.StatusCode, target, b)
}

// asServerError reads the JSON of an error; a body of any other kind is shown as it is.
func asServerError(status int, target string, b []byte) error {
	var e struct {
		Message string  `json:"message"`
		Code    *string `json:"restate_code"`
	}
	if err := json.Unmarshal(b, &e); err != nil || e.Message == "" {
		e.Message = strings.TrimSpace(string(b))
	}
	if e.Message == "" {
		e.Message = unexplained(status)
	}
	out := &serverError{message: e.Message, status: status, url: target}
	if e.Code != nil {
		out.code = *e.Code
	}
	return out
}

// unexplained is the message of an error without one.
func unexplained(status int) string {
	switch status {
	case http.StatusNotFound:
		return "the server does not know this address: does it run, and is it of the same age as this program?"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "the server does not let you; RESTATE_AUTH_TOKEN, or bearer_token in the configuration, says who you are"
	case http.StatusNotImplemented:
		return "the server cannot do this"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "the server has no room for this now; try again later"
	default:
		return "the server does not say why"
	}
}

func escape(segment string) string { return url.PathEscape(segment) }

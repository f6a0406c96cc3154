package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/server"
)

// Client speaks with the ingress and the admin API of a Form.
type Client struct {
	Form *Form
	http *http.Client
}

// NewClient returns a client with connections of its own.
func NewClient(f *Form) *Client {
	return &Client{Form: f, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
}

// Close drops the client's connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Response is a whole response.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Request is a request with a JSON body, or none if Body is nil.
type Request struct {
	Method string // default POST
	URL    string
	Body   any
	Header map[string]string
}

// Do sends a request and reads the response whole.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	var body io.Reader
	if r.Body != nil {
		b, err := json.Marshal(r.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, r.URL, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.Header {
		req.Header.Set(k, v)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: reading the response: %w", method, r.URL, err)
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: b}, nil
}

// Call calls Service[/key]/handler through the ingress and decodes the output into out, unless that
// is nil. Any status but 200 and 202 is an error.
func (c *Client) Call(ctx context.Context, path string, in, out any, headers ...string) error {
	r := Request{URL: c.Form.Ingress + "/" + path, Body: in, Header: map[string]string{}}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = headers[i+1]
	}
	res, err := c.Do(ctx, r)
	if err != nil {
		return fmt.Errorf("call %s: %w", path, err)
	}
	if res.Status != http.StatusOK && res.Status != http.StatusAccepted {
		return &StatusError{Path: path, Status: res.Status, Body: string(res.Body)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(res.Body, out); err != nil {
		return fmt.Errorf("call %s: %w: %s", path, err, res.Body)
	}
	return nil
}

// StatusError is an answer that is no success.
type StatusError struct {
	Path   string
	Status int
	Body   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("call %s: status %d: %s", e.Path, e.Status, e.Body)
}

// Send sends one-way and returns the invocation id.
func (c *Client) Send(ctx context.Context, path string, in any, headers ...string) (string, error) {
	var accepted struct {
		InvocationID string `json:"invocationId"`
	}
	err := c.Call(ctx, path+"/send", in, &accepted, headers...)
	return accepted.InvocationID, err
}

// Attach waits for the output of an invocation.
func (c *Client) Attach(ctx context.Context, invocation string, out any) error {
	res, err := c.Do(ctx, Request{Method: http.MethodGet, URL: c.Form.Ingress + "/restate/invocation/" + invocation + "/attach"})
	if err != nil {
		return fmt.Errorf("attach to %s: %w", invocation, err)
	}
	if res.Status != http.StatusOK {
		return &StatusError{Path: "attach " + invocation, Status: res.Status, Body: string(res.Body)}
	}
	return json.Unmarshal(res.Body, out)
}

// Query answers a SQL statement: the rows as JSON.
func (c *Client) Query(ctx context.Context, statement string) (string, error) {
	res, err := c.Do(ctx, Request{URL: c.Form.Admin + "/query", Body: map[string]string{"query": statement}, Header: map[string]string{"Accept": "application/json"}})
	if err != nil {
		return "", fmt.Errorf("query: %w", err)
	}
	if res.Status != http.StatusOK {
		return "", &StatusError{Path: "query", Status: res.Status, Body: string(res.Body)}
	}
	return string(res.Body), nil
}

// Register registers the endpoint at uri and returns once each ingress that runs knows its services.
func (c *Client) Register(ctx context.Context, uri string) error {
	res, err := c.Do(ctx, Request{URL: c.Form.Admin + "/deployments", Body: map[string]any{"uri": uri}})
	if err != nil {
		return fmt.Errorf("register %s: %w", uri, err)
	}
	if res.Status != http.StatusCreated && res.Status != http.StatusOK {
		return fmt.Errorf("register %s: status %d: %s", uri, res.Status, res.Body)
	}
	var d struct {
		Services []struct{ Name string }
	}
	if err := json.Unmarshal(res.Body, &d); err != nil {
		return fmt.Errorf("register %s: %w: %s", uri, err, res.Body)
	}
	urls := []string{c.Form.Ingress}
	for _, p := range c.Form.Ingresses() {
		if p.PID() != 0 && p.Ingress != c.Form.Ingress {
			urls = append(urls, p.Ingress)
		}
	}
	return Wait(ctx, 20*time.Second, "services of "+uri+" at each ingress", func(ctx context.Context) error {
		for _, url := range urls { // each hears of it by itself
			res, err := c.Do(ctx, Request{Method: http.MethodGet, URL: url + "/restate/health"})
			if err != nil {
				return err
			}
			for _, s := range d.Services {
				if !bytes.Contains(res.Body, []byte(`"`+s.Name+`"`)) {
					return fmt.Errorf("%s is not among %s of %s", s.Name, res.Body, url)
				}
			}
		}
		return nil
	})
}

// Endpoint serves handlers of the Go SDK inside this process.
type Endpoint struct {
	URI string
	srv *http.Server
}

// Serve serves the services on a free port of loopback.
func Serve(services ...restate.ServiceDefinition) (*Endpoint, error) {
	return ServeAt("127.0.0.1", services...)
}

// ServeAt serves the services on a free port of an address of this machine.
func ServeAt(ip string, services ...restate.ServiceDefinition) (*Endpoint, error) {
	sdk := server.NewRestate().WithLogger(slog.DiscardHandler, true)
	for _, s := range services {
		sdk = sdk.Bind(s)
	}
	handler, err := sdk.Handler()
	if err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return nil, err
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	e := &Endpoint{
		URI: "http://" + ln.Addr().String(),
		srv: &http.Server{
			Handler: handler, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second,
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // killed servers cut connections
		},
	}
	go func() {
		if err := e.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("endpoint %s: %v", e.URI, err)) // the test cannot go on
		}
	}()
	return e, nil
}

// Close ends the endpoint at once.
func (e *Endpoint) Close() { _ = e.srv.Close() }

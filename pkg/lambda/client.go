package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
)

// Client calls functions. It is safe for concurrent use.
type Client struct {
	cfg   Config
	codec atomic.Pointer[codec] // never changed, but replaced

	// mu guards what follows. It is held while the credentials of the process are looked up, once.
	mu      sync.Mutex
	base    *aws.Config // nil until the first call, as http
	http    *http.Client
	clients map[clientKey]*lambda.Client
}

type clientKey struct{ region, role string }

// NewClient checks cfg; it starts nothing.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	made, err := newCodec(cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, clients: map[clientKey]*lambda.Client{}}
	c.codec.Store(made)
	return c, nil
}

// Close gives idle connections back.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	return nil
}

// Invoke calls a function and waits for its answer. q.Body is borrowed until it returns.
func (c *Client) Invoke(ctx context.Context, f Function, q Request) (Response, error) {
	form := c.codec.Load()
	payload, err := form.encode(q, f.Zstd)
	if err != nil {
		return Response{}, err
	}
	client, err := c.client(ctx, f)
	if err != nil {
		return Response{}, err
	}
	out, err := client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: &f.ARN, InvocationType: types.InvocationTypeRequestResponse, Payload: payload,
	})
	switch {
	case err != nil:
		return Response{}, fmt.Errorf("invoke %s: %w", f.ARN, err)
	case out.FunctionError != nil:
		detail := out.Payload[:min(len(out.Payload), detailBytesMax)]
		return Response{}, refuse("the function failed: %s: %q", *out.FunctionError, detail)
	case len(out.Payload) == 0:
		return Response{}, refuse("the function answered nothing")
	}
	return form.decode(out.Payload)
}

// SetResponseBytesMax replaces ResponseBytesMax for the requests that begin from now on. One that is below 1 KiB changes nothing.
func (c *Client) SetResponseBytesMax(n int) {
	cfg := c.cfg
	cfg.ResponseBytesMax = n
	if cfg.Validate() != nil || n == c.codec.Load().bodyBytesMax {
		return
	}
	if made, err := newCodec(cfg); err == nil { // its options are those of the one before, but for a positive number
		c.codec.Store(made)
	}
}

// answerBytesMax bounds an answer as it comes.
func (c *Client) answerBytesMax() int64 {
	return int64(c.codec.Load().bodyBytesMax)*envelopeFactor + envelopeBytes
}

// Passes tells whether an error of Invoke may be gone a little later: there was no answer, or AWS says so.
func Passes(err error) bool {
	var answered *awshttp.ResponseError
	if !errors.As(err, &answered) {
		var refused *refusal
		return !errors.As(err, &refused)
	}
	status := answered.HTTPStatusCode()
	return status == 0 || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// refusal is an answer of a function that is none of an endpoint.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// detailBytesMax bounds what is quoted of a function's error.
const detailBytesMax = 512

// client returns the client for a function's region and role.
func (c *Client) client(ctx context.Context, f Function) (*lambda.Client, error) {
	key := clientKey{f.region(), f.Role}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.clients[key]; known != nil {
		return known, nil
	}
	if err := c.loadLocked(ctx); err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if len(c.clients) >= clientsMax {
		clear(c.clients)
	}
	cfg := c.base.Copy()
	cfg.Region = key.region
	if f.Role != "" {
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), f.Role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = sessionName
			if c.cfg.ExternalID != "" {
				o.ExternalID = &c.cfg.ExternalID
			}
		}))
	}
	made := lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		if c.cfg.EndpointURL != "" {
			o.BaseEndpoint = &c.cfg.EndpointURL
		}
	})
	c.clients[key] = made
	return made, nil
}

// loadLocked reads AWS's own environment variables and files.
func (c *Client) loadLocked(ctx context.Context) error {
	if c.base != nil {
		return nil
	}
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = (&net.Dialer{Timeout: c.cfg.ConnectTimeout}).DialContext
		t.TLSHandshakeTimeout = c.cfg.ConnectTimeout
		t.MaxIdleConnsPerHost = idleConnsMax
	})
	o := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(client),
		awsconfig.WithLogger(logging.Nop{}), // what matters comes as an error
		awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if c.cfg.Profile != "" {
		o = append(o, awsconfig.WithSharedConfigProfile(c.cfg.Profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, o...)
	if err != nil {
		return err
	}
	transport := client.GetTransport()
	if loaded, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok { // with the certificates of AWS_CA_BUNDLE
		transport = loaded.GetTransport()
	}
	// No timeout in all: a function may run for a quarter of an hour. Who calls cancels.
	c.http = &http.Client{Transport: bounded{c.answerBytesMax, transport}}
	cfg.HTTPClient = c.http
	c.base = &cfg
	return nil
}

// bounded is a transport whose answers end in an error above a number of bytes: the AWS library reads
// them whole.
type bounded struct {
	limit func() int64
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body := &boundedBody{ReadCloser: resp.Body, left: b.limit()}
	if resp.ContentLength > body.left { // it says so itself: nothing is read
		body.left = -1
	}
	resp.Body = body
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

var errTooLarge = errors.New("the answer is too large")

// Read fails when more comes than is allowed.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

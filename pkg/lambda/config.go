package lambda

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config are the settings of a Client. Keys of the configuration file are below worker.invoker.
type Config struct {
	// Profile is the section of the AWS configuration files that is used (aws-profile); "" is the default one.
	Profile string
	// ExternalID goes with each assumed role (aws-assume-role-external-id); "" sends none.
	ExternalID string
	// CompressBytesMin: a smaller body is not compressed (request-compression-threshold, 4 MiB).
	CompressBytesMin int
	// ResponseBytesMax bounds the body of an answer, as it is after decompression (40 MiB: a message of
	// the largest size, and what surrounds it).
	ResponseBytesMax int
	// ConnectTimeout is for one connection to AWS (connect-timeout, 10 s).
	ConnectTimeout time.Duration
	// EndpointURL replaces the address of Lambda; "" is that of the function's region, unless AWS's own
	// environment variable AWS_ENDPOINT_URL_LAMBDA says otherwise.
	EndpointURL string
}

// Default returns the defaults of the contract.
func Default() Config {
	return Config{CompressBytesMin: 4 << 20, ResponseBytesMax: 40 << 20, ConnectTimeout: 10 * time.Second}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	if c.CompressBytesMin < 0 {
		all = append(all, fmt.Errorf("request-compression-threshold %d is negative", c.CompressBytesMin))
	}
	if c.ResponseBytesMax < 1<<10 {
		all = append(all, fmt.Errorf("response limit %d is below 1 KiB", c.ResponseBytesMax))
	}
	if c.ConnectTimeout <= 0 {
		all = append(all, fmt.Errorf("connect-timeout %s is not positive", c.ConnectTimeout))
	}
	if u, err := url.Parse(c.EndpointURL); err != nil || c.EndpointURL != "" && u.Host == "" {
		all = append(all, fmt.Errorf("lambda endpoint %q is no URL", c.EndpointURL))
	}
	return errors.Join(all...)
}

// What is not configurable.
const (
	// envelopeFactor bounds the JSON around a body: base64 takes a third more, text with escapes up to six times.
	envelopeFactor = 2
	// envelopeBytes is room for what an envelope holds besides the body.
	envelopeBytes = 64 << 10
	// clientsMax bounds the clients that are kept, one for each region and role.
	clientsMax = 1024
	// idleConnsMax bounds the idle connections to one host.
	idleConnsMax = 100
	// sessionName names the sessions of assumed roles.
	sessionName = "reprise"
)

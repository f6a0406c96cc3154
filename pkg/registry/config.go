package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/identity"
	"reprise/pkg/lambda"
)

// Config says how endpoints are discovered.
type Config struct {
	// Headers go with each request (worker.invoker.additional-request-headers and x-restate-cluster-name).
	Headers []*storedv1.Header
	// RoutingHeaders are headers, in lower case, that tell deployments of one URI apart
	// (admin.deployment-routing-headers); default none.
	RoutingHeaders   []string
	Identity         *identity.Signer // signs requests; nil: they are not signed
	Lambda           Functions        // calls functions; nil: there are none
	ConnectTimeout   time.Duration    // for one connection to an endpoint; default 10 s
	DiscoveryTimeout time.Duration    // for all tries together; default 12 s, below the 13 s that command lines wait
	VisibleTimeout   time.Duration    // until this process has seen a change that is stored; default 5 s
	Connect          Connect          // opens connections to endpoints; nil: TCP
	TLS              *tls.Config      // of https endpoints; nil (default) trusts the roots of the system
}

// Connect opens a connection to host:port.
type Connect func(ctx context.Context, network, address string) (net.Conn, error)

// Functions calls AWS Lambda functions. *lambda.Client does.
type Functions interface {
	Invoke(ctx context.Context, f lambda.Function, q lambda.Request) (lambda.Response, error)
}

// Default is the configuration of a registrar that is told nothing.
func Default() Config {
	return Config{ConnectTimeout: 10 * time.Second, DiscoveryTimeout: 12 * time.Second, VisibleTimeout: 5 * time.Second}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var all []error
	if c.ConnectTimeout <= 0 {
		all = append(all, fmt.Errorf("connect timeout: %s is not positive", c.ConnectTimeout))
	}
	if c.DiscoveryTimeout <= 0 {
		all = append(all, fmt.Errorf("discovery timeout: %s is not positive", c.DiscoveryTimeout))
	}
	if c.VisibleTimeout <= 0 {
		all = append(all, fmt.Errorf("visible timeout: %s is not positive", c.VisibleTimeout))
	}
	return errors.Join(all...)
}

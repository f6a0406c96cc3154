package outbound

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/dial"
	"reprise/pkg/host"
	"reprise/pkg/identity"
	"reprise/pkg/lambda"
)

// lambdaRoomBytes is what an answer of a function may have besides one message of the largest size.
const lambdaRoomBytes = 8 << 20

// Headers go with each request to a deployment. Names are lower case.
func Headers(cfg *config.Config) []*storedv1.Header {
	set := map[string]string{"x-restate-cluster-name": cfg.ClusterName}
	for name, value := range cfg.Worker.Invoker.AdditionalRequestHeaders {
		set[strings.ToLower(name)] = value
	}
	list := make([]*storedv1.Header, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		list = append(list, &storedv1.Header{Name: name, Value: set[name]})
	}
	return list
}

// Identity signs requests; nil if no key is configured.
func Identity(cfg *config.Config, h host.Host) (*identity.Signer, error) {
	w := &cfg.Worker.Invoker
	if w.IdentityKeyFile == "" {
		return nil, nil //nolint:nilnil // a nil Signer is documented
	}
	pem, err := os.ReadFile(w.IdentityKeyFile)
	if err != nil {
		return nil, fmt.Errorf("worker.invoker.request-identity-private-key-pem-file: %w", err)
	}
	s, err := identity.NewSigner(pem, w.IdentityExpiration.D(), h.Clock)
	if err != nil {
		return nil, fmt.Errorf("worker.invoker.request-identity-private-key-pem-file: %w", err)
	}
	return s, nil
}

// Dialer opens connections to deployments.
func Dialer(cfg *config.Config) (*dial.Dialer, error) {
	w := &cfg.Worker.Invoker
	d, err := dial.New(dial.Config{Timeout: w.ConnectTimeout.D(), Proxy: w.HTTPProxy, NoProxy: w.NoProxy})
	if err != nil {
		return nil, fmt.Errorf("worker.invoker: %w", err)
	}
	return d, nil
}

// Lambda calls functions.
func Lambda(cfg *config.Config) (*lambda.Client, error) {
	w := &cfg.Worker.Invoker
	c := lambda.Default()
	c.Profile, c.ExternalID = w.AWSProfile, w.AWSExternalID
	c.CompressBytesMin = w.CompressBytesMin.Int()
	c.ResponseBytesMax = LambdaResponseBytes(cfg)
	c.ConnectTimeout = w.ConnectTimeout.D()
	client, err := lambda.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("worker.invoker: %w", err)
	}
	return client, nil
}

// LambdaResponseBytes is how large the answer of a function may be.
func LambdaResponseBytes(cfg *config.Config) int {
	return cfg.InvokerMessageSizeLimit() + lambdaRoomBytes
}

package cases

import (
	"strings"
	"time"

	restate "github.com/restatedev/sdk-go"

	"reprise/tests/conformance/services"
)

// svcName makes a service name that no other case uses.
func svcName(t *T, prefix string) string { return strings.ReplaceAll(t.Key(prefix), "-", "") }

// quickEcho is an echo service whose failures are retried fast.
func quickEcho(name string) restate.ServiceDefinition {
	return services.Echo(name, restate.WithInvocationRetryPolicy(
		restate.WithInitialRetryInterval(50*time.Millisecond), restate.WithMaxRetryInterval(200*time.Millisecond)))
}

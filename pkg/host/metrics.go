package host

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"reprise/pkg/invariant"
)

// Register makes a collector known, or takes the one that is known under its name: parts of which a
// process has several share their metrics.
func Register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if err == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	invariant.That(false, "two kinds of collectors have one name: %v", err)
	return c
}

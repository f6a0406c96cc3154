//go:build !faults

package daemon

import "reprise/pkg/host"

// faulty is for tests: see the binaries built with the tag faults.
func faulty(h host.Host) host.Host { return h }

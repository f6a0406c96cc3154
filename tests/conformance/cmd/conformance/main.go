// Command conformance drives a durable execution server through its public interfaces and says
// which behaviours it has.
package main

import (
	"reprise/tests/conformance/cases"
	"reprise/tests/conformance/harness"
)

func main() { harness.Main(cases.Suite()) }

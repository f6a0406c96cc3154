// Package cases holds the conformance cases by group.
package cases

import (
	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/services"
)

type (
	// T is the running case.
	T = harness.T
	// Case is one case.
	Case = harness.Case
)

var all []Case

func add(group string, cs ...Case) {
	for _, c := range cs {
		c.Group = group
		c.Unless = unless[c.ID()]
		c.Tags = append(c.Tags[:len(c.Tags):len(c.Tags)], needs[c.ID()]...)
		if counts[c.ID()] {
			c.Tags = append(c.Tags, harness.TagCounts)
		}
		all = append(all, c)
	}
}

// Suite is the whole suite.
func Suite() harness.Suite {
	return harness.Suite{
		Name: "conformance",
		Endpoints: func() []harness.EndpointSpec {
			return []harness.EndpointSpec{
				{Name: "main", Mode: harness.AsAsked, Services: services.Main()},
				{Name: "rr", Mode: harness.RequestResponse, Services: services.Small("Rr")},
				{Name: "h1", Mode: harness.HTTP1, Services: services.Small("Hone")},
			}
		},
		Cases: all,
	}
}

// Package quorum decides which nodes must hold a record and which nodes must be asked.
//
// A Property such as {zone: 2, node: 3} says how far copies are spread. Over the nodeset of a loglet
// it gives two families of sets that always meet: a write quorum holds every record, and an
// f-majority (every set of nodes that meets each write quorum) is asked for the tail:
//
//	p, err := quorum.Parse("{node: 2}")
//	ns, err := quorum.NewNodeset(p, members)
//	if ns.WriteQuorum(stored) { /* committed */ }
//	if ns.FMajority(sealed) == quorum.Success { /* nobody can commit any more */ }
package quorum

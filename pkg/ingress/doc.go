// Package ingress turns HTTP requests into commands for partitions and their outcomes into responses.
//
// Ingress is the core: it routes a Request, checks it, builds the record, hands it to Partitions and
// makes the Response. It knows no HTTP server, so that more than one front can call it; Server is the
// front on net/http.
//
//	core, err := ingress.New(cfg, ingress.Parts{Partitions: node, Schema: view.Registry, PartitionCount: count}, h)
//	server := ingress.NewServer(core, listeners, h) // a lifecycle.Part
//
// Ids are fixed before a record is first proposed, so a request is repeated for as long as its client
// waits, whatever the outcome of a try was: it creates its invocation once.
package ingress

// Package ingress turns HTTP requests into commands for partitions and their outcomes into responses.
//
// Ingress is the core: it routes a Request, checks it, builds the record, hands it to Partitions and
// makes the Response. It knows no HTTP server, so that more than one front can call it. Server has two: it
// reads plain requests of HTTP/1.1 itself (plain.go says which those are), because net/http costs more CPU than
// all of the core, and gives a connection to net/http, with what was read, at the first request that is not plain.
// To clients they are the same.
//
//	core, err := ingress.New(cfg, ingress.Parts{Partitions: node, Schema: view.Registry, Routes: routes}, h)
//	server := ingress.NewServer(core, listeners, h) // a lifecycle.Part
//
// Ids are fixed before a record is first proposed, so a request is repeated for as long as its client
// waits, whatever the outcome of a try was: it creates its invocation once.
//
// Lock order: plainFront.mu, then plainConn.mu.
package ingress

// Package admin serves the admin API over HTTP: the requests of users, command lines and tools that change
// or show the service registry.
//
// api/admin/v1 declares requests, answers and paths; a grpc-gateway inside the process joins it to HTTP.
// What the gateway does not do as the contract wants it is here:
//
//	front.go    version prefixes, HEAD, 404 and 405, limits, compression
//	gateway.go  path ids, queries, content types and bodies before a call; statuses and errors after it
//	json.go     the spelling of JSON
//	service.go  the calls about deployments and services, over pkg/registry
//	meta.go     those about this server and the documents that describe it and its services
//	openapi.go, service_openapi.go  these documents
//	kafka.go, limits.go  those about what is not built: empty lists, and refusals
//	ui.go       the page at /ui/
//	invocation.go, batch.go, state.go  those about invocations and state
//	operate.go  what these ask of partitions, and what they are answered
//	render.go   what is stored, as users see it
package admin

// Package registry registers, changes and removes the deployments of services.
//
// A Registrar discovers an endpoint (discover.go), lets the rules of pkg/schema judge what it said, stores the
// next schema by compare-and-set and waits until this process has seen it. It keeps nothing itself.
package registry

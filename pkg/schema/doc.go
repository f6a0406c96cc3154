// Package schema is the rules of the registry: what a deployment may announce and which revision of a service is used.
//
// A stored schema is a list of deployments. ParseManifest and Manifest.Deployment judge what an
// endpoint announces; Register and Remove make the next schema of one and never change the old. A
// Registry is the immutable index that every request asks: the active revision of a service is the
// highest among the deployments, and options are resolved from handler, service and Defaults.
package schema

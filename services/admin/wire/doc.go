// Package wire builds the admin role: the registry of services and the REST API.
package wire

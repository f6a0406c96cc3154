// Package wire builds an ingress: its listener, the core and the front.
package wire

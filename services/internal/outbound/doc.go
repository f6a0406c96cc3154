// Package outbound makes of the configuration what daemons that call deployments have in common.
package outbound

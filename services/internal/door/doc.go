// Package door opens what a listener asks of its clients: certificates and tokens, as the configuration says.
package door

// Package wire builds a log-server: its store, the marker check, the server.
package wire

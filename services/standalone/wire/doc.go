// Package wire builds all roles in one process, joined by the same interfaces that the clients between daemons implement.
package wire

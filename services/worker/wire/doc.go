// Package wire builds a worker: log writer, partitions with their invoker, and what serves them to others.
package wire

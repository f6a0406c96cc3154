// Package memory has 64 partitions fail over between two workers under load, and looks from outside whether memory follows: the
// share of each open store is the worker's budget divided by their number, as they are opened and closed. Nobody is declared dead
// but who was ended, and what beats wait for is never the work of dividing memory. How late beats were is logged.
//
//	go test ./tests/e2e/memory -v             # each worker goes once
//	go test ./tests/e2e/memory -v -rounds 5
package memory

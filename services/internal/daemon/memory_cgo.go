//go:build cgo

package daemon

// storesOutsideHeap says so: with cgo the stores keep their caches and memtables outside of the Go heap.
const storesOutsideHeap = true

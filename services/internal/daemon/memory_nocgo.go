//go:build !cgo

package daemon

// storesOutsideHeap says so: without cgo all is in the Go heap.
const storesOutsideHeap = false

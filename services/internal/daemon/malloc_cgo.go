//go:build cgo

package daemon

// #include <malloc.h>
// #include <stddef.h>
//
// static int return_large(size_t bytes) {
// #if defined(__GLIBC__)
// 	return mallopt(M_MMAP_THRESHOLD, (int)bytes);
// #else
// 	return 1;
// #endif
// }
import "C"

// largeBlockBytes is from which size on a block of C memory is mapped for itself.
const largeBlockBytes = 128 << 10

// returnLargeBlocks has large blocks of C memory, which are memtables and cached rows, go back to the system when they are freed.
// glibc by itself takes them from heaps of 64 MiB, several for each core, as soon as it has seen one freed: what is in use keeps
// those resident, and a log-server that held 60 MiB took 800. It tells whether the C library took it.
func returnLargeBlocks() bool { return C.return_large(largeBlockBytes) == 1 }

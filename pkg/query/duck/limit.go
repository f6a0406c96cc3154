//go:build duckdb_arrow && cgo && linux

package duck

import (
	"fmt"
	"syscall"
)

const rlimitData = 2 // RLIMIT_DATA, which syscall does not name on each architecture

// overhead is what the process needs beside what DuckDB counts: code, stacks, the Go heap, what DuckDB does not count.
const overhead = 512 << 20

// limit bounds what the process may allocate. At the limit an allocation fails, and with it, at worst, the process.
func limit(memory int64) error {
	most := uint64(memory)*3/2 + overhead + shadow
	for what, n := range map[int]uint64{rlimitData: most, syscall.RLIMIT_CORE: 0} {
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("limit resource %d to %d: %w", what, n, err)
		}
	}
	return nil
}

//go:build duckdb_arrow && cgo && linux

package duck

import (
	"fmt"
	"syscall"
)

const rlimitData = 2 // RLIMIT_DATA, which syscall does not name on each architecture

// overhead is what the process needs beside what DuckDB counts: code, stacks, the Go heap, what DuckDB does not count.
const overhead = 512 << 20

// niceness is by how much the process gives way to the daemon and to everything else.
const niceness = 10

// limit bounds what the process may allocate, and has it give way to others. At the limit an allocation fails, and
// with it, at worst, the process.
func limit(memory int64) error {
	most := uint64(memory)*3/2 + overhead + shadow
	for what, n := range map[int]uint64{rlimitData: most, syscall.RLIMIT_CORE: 0} {
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return fmt.Errorf("limit resource %d to %d: %w", what, n, err)
		}
	}
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	return nil
}

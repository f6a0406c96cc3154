package daemon

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory bounds the Go heap by what the process may use: nine tenths, without what the stores hold
// outside of the heap, but no less than half of that. Someone who set GOMEMLIMIT knows better.
func limitMemory(root fs.FS, goMemLimit string, stores int64) {
	if goMemLimit != "" {
		return
	}
	if limit, ok := memoryLimit(root); ok {
		debug.SetMemoryLimit(heapLimit(limit, stores))
	}
}

func heapLimit(limit, stores int64) int64 {
	usable := limit / 10 * 9
	if !storesOutsideHeap {
		return usable
	}
	return max(usable-stores, usable/2)
}

// cgroupDepthMax bounds the walk to the root of the cgroups.
const cgroupDepthMax = 32

// memoryLimit returns the memory limit of this process's cgroup, version 2 or 1, or of one that it is in.
func memoryLimit(root fs.FS) (bytes int64, ok bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false // no cgroups here
	}
	bytes = math.MaxInt64
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// Inside of a container the path may be that outside: then only the root is there to be read.
		for at, depth := path.Clean("/"+parts[2]), 0; depth < cgroupDepthMax; at, depth = path.Dir(at), depth+1 {
			bytes = min(bytes, readLimit(root, path.Join(mount, at, file)))
			if at == "/" {
				break
			}
		}
	}
	return bytes, bytes < unlimited
}

// unlimited is what version 1 says without a limit, or a little more.
const unlimited = 1 << 60

func readLimit(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 { // "max"
		return math.MaxInt64
	}
	return n
}

package daemon

import (
	"context"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"reprise/pkg/config"
	"reprise/pkg/logkey"
)

// memoryBounds is what this process may use.
type memoryBounds struct {
	root  fs.FS
	limit int64 // of the cgroup; 0: there is none
}

// followMemory bounds the memory of the process by the settings now, and anew when those about memory change.
func followMemory(root fs.FS, goMemLimit string, live *config.Live, log *slog.Logger) (mem memoryBounds) {
	if !returnLargeBlocks() {
		log.Warn("the C library keeps large blocks of memory that are freed")
	}
	var was config.Memory
	live.OnChange(func(cfg *config.Config) {
		if now := cfg.Memory(); now != was {
			was = now
			mem = boundMemory(root, goMemLimit, cfg, log)
		}
	})
	return mem
}

// boundMemory finds the memory limit of the process, says so if the budget of the stores does not fit into it, and bounds the Go
// heap: by nine tenths of it, without what the stores hold outside of the heap, but no less than half of that. Someone who set
// GOMEMLIMIT knows better.
func boundMemory(root fs.FS, goMemLimit string, cfg *config.Config, log *slog.Logger) memoryBounds {
	limit, ok := memoryLimit(root)
	if !ok {
		return memoryBounds{root: root}
	}
	if goMemLimit == "" {
		m := cfg.Memory()
		debug.SetMemoryLimit(heapLimit(limit, m.BlockCache+m.WorkerMemtables+m.LogServerMemtables))
	}
	figures := []slog.Attr{slog.Int64(logkey.Bytes, int64(cfg.MemoryTotal)), slog.Int64(logkey.Limit, limit)}
	switch total := int64(cfg.MemoryTotal); {
	case total > limit:
		log.LogAttrs(context.Background(), slog.LevelError,
			"rocksdb-total-memory-size is above the memory limit of the process, which may be killed: lower it, or give the process more", figures...)
	case total > limit/10*9:
		log.LogAttrs(context.Background(), slog.LevelWarn,
			"rocksdb-total-memory-size is above 90 % of the memory limit of the process: lower it, or give the process more", figures...)
	}
	return memoryBounds{root: root, limit: limit}
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
	bytes = math.MaxInt64
	eachCgroup(root, func(limit, _ string) { bytes = min(bytes, readBytes(root, limit)) })
	return bytes, bytes < unlimited
}

// memoryUsed returns what this process's cgroup uses, with the files that the system keeps in memory for it.
func memoryUsed(root fs.FS) (bytes int64, ok bool) {
	bytes = math.MaxInt64
	eachCgroup(root, func(_, used string) {
		if bytes == math.MaxInt64 { // the innermost that says so
			bytes = readBytes(root, used)
		}
	})
	return bytes, bytes < unlimited
}

// eachCgroup visits the memory cgroup of this process and those that it is in, inside out: their files with the limit and with
// what is used.
func eachCgroup(root fs.FS, visit func(limit, used string)) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return // no cgroups here
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, limit, used := "sys/fs/cgroup", "memory.max", "memory.current"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, limit, used = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
		default:
			continue
		}
		// Inside of a container the path may be that outside: then only the root is there to be read.
		for at, depth := path.Clean("/"+parts[2]), 0; depth < cgroupDepthMax; at, depth = path.Dir(at), depth+1 {
			visit(path.Join(mount, at, limit), path.Join(mount, at, used))
			if at == "/" {
				break
			}
		}
	}
}

// unlimited is what version 1 says without a limit, or a little more.
const unlimited = 1 << 60

// readBytes reads a figure; none, and "max", are the largest number.
func readBytes(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

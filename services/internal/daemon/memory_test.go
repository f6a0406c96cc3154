package daemon

import (
	"bytes"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"reprise/pkg/config"
)

func TestMemoryLimit(t *testing.T) {
	for name, row := range map[string]struct {
		files map[string]string
		want  int64
		none  bool
	}{
		"no cgroups":   {none: true},
		"no limit":     {files: map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, none: true},
		"its own":      {files: map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, want: 1000},
		"a parent's":   {files: map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "500\n", "sys/fs/cgroup/a/b/memory.max": "1000\n"}, want: 500},
		"in container": {files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "700\n"}, want: 700},
		"version 1":    {files: map[string]string{"proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/1\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "300\n"}, want: 300},
		"version 1, no limit": {files: map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, none: true},
	} {
		root := fstest.MapFS{}
		for at, text := range row.files {
			root[at] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, ok := memoryLimit(root); ok == row.none || ok && got != row.want {
			t.Errorf("%s: got %d, %v", name, got, ok)
		}
	}
}

// limitedTo is the file system of a process whose cgroup has that limit, and uses half of it.
func limitedTo(limit string) fstest.MapFS {
	return fstest.MapFS{
		"proc/self/cgroup":               {Data: []byte("0::/a\n")},
		"sys/fs/cgroup/a/memory.max":     {Data: []byte(limit)},
		"sys/fs/cgroup/a/memory.current": {Data: []byte("536870912\n")},
	}
}

// A budget of the stores above 90 % of the limit of the cgroup is a warning, one above all of it an error; both name the key and
// both sizes.
func TestMemoryPageWarnsAbove90PercentOfTheCgroupAndErrsAbove100(t *testing.T) {
	for _, row := range []struct {
		limit int64
		level string
	}{{0, ""}, {3 << 30, ""}, {2400 << 20, ""}, {2200 << 20, "WARN"}, {2 << 30, "WARN"}, {2<<30 - 1, "ERROR"}, {1 << 30, "ERROR"}} {
		for _, version := range []int{1, 2} {
			root := limitedTo(strconv.FormatInt(row.limit, 10))
			if row.limit == 0 {
				root = limitedTo("max")
			}
			if version == 1 {
				root = fstest.MapFS{"proc/self/cgroup": {Data: []byte("4:memory:/a\n")}, "sys/fs/cgroup/memory/a/memory.limit_in_bytes": root["sys/fs/cgroup/a/memory.max"]}
			}
			var b bytes.Buffer
			cfg := config.Default()
			got := boundMemory(root, "off", &cfg, slog.New(slog.NewTextHandler(&b, nil)))
			if got.limit != row.limit {
				t.Errorf("limit %d of version %d: found %d", row.limit, version, got.limit)
			}
			switch said := b.String(); {
			case row.level == "" && said == "":
			case row.level == "" || !strings.Contains(said, "level="+row.level) || !strings.Contains(said, "rocksdb-total-memory-size") || strings.Count(said, "\n") != 1 ||
				!strings.Contains(said, "bytes=2147483648 limit="+strconv.FormatInt(row.limit, 10)):
				t.Errorf("limit %d of version %d: said %q, want %s", row.limit, version, said, row.level)
			}
		}
	}
}

// What a cgroup uses is what the innermost says.
func TestMemoryUsed(t *testing.T) {
	if used, ok := memoryUsed(limitedTo("max")); !ok || used != 512<<20 {
		t.Errorf("%d %t", used, ok)
	}
	if _, ok := memoryUsed(fstest.MapFS{}); ok {
		t.Error("without cgroups")
	}
}

// The Go heap is bounded by the limit of the cgroup, unless GOMEMLIMIT says otherwise.
func TestHeapIsBounded(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	cfg := config.Default()
	silent := slog.New(slog.DiscardHandler)
	boundMemory(limitedTo("max"), "", &cfg, silent)
	boundMemory(limitedTo("8589934592"), "5GiB", &cfg, silent)
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("bounded to %d", got)
	}
	boundMemory(limitedTo("8589934592"), "", &cfg, silent)
	m := cfg.Memory()
	if got, want := debug.SetMemoryLimit(-1), heapLimit(8<<30, m.BlockCache+m.WorkerMemtables+m.LogServerMemtables); got != want {
		t.Errorf("bounded to %d, want %d", got, want)
	}
}

// A total that changes while the process runs is held against the limit again, and the heap is bounded anew. Other changes say nothing.
func TestMemoryFollowsTheSettings(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	x := newWatched(t, "rocksdb-total-memory-size = \"1 GiB\"\n")
	var b bytes.Buffer
	followMemory(limitedTo("8589934592"), "", x.live, slog.New(slog.NewTextHandler(&b, nil)))
	take := func(text string) {
		t.Helper()
		if _, err := x.live.Take([]byte(text)); err != nil {
			t.Fatal(err)
		}
		m := x.live.Current().Memory()
		if got, want := debug.SetMemoryLimit(-1), heapLimit(8<<30, m.BlockCache+m.WorkerMemtables+m.LogServerMemtables); got != want {
			t.Errorf("with %q the heap is bounded to %d, want %d", text, got, want)
		}
	}
	take("rocksdb-total-memory-size = \"2 GiB\"\n")
	if b.Len() > 0 {
		t.Errorf("said %s", b.String())
	}
	take("rocksdb-total-memory-size = \"8 GiB\"\n")
	take("rocksdb-total-memory-size = \"8 GiB\"\nlog-filter = \"debug\"\n")
	if said := b.String(); strings.Count(said, "level=WARN") != 1 || strings.Count(said, "\n") != 1 {
		t.Errorf("said %s", said)
	}
}

func TestHeapLimit(t *testing.T) {
	if !storesOutsideHeap {
		if got := heapLimit(1000, 2000); got != 900 {
			t.Errorf("got %d", got)
		}
		return
	}
	for stores, want := range map[int64]int64{0: 900, 300: 600, 2000: 450} {
		if got := heapLimit(1000, stores); got != want {
			t.Errorf("with stores of %d: got %d, want %d", stores, got, want)
		}
	}
}

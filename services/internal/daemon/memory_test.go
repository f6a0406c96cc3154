package daemon

import (
	"testing"
	"testing/fstest"
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

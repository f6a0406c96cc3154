package sim_test

import (
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the disk of a machine. A sync of Pebble's log takes as long as the scheduler says, so that a crash may come in
// the middle of one.
type disk struct {
	vfs.FS
	w    *world
	name string
	mem  *vfs.MemFS
	over atomic.Bool // the process that used it is gone
	lies bool        // a mistake: it says that it has synced
}

// stores is the folder of partition stores.
const stores = "partitions"

func newDisk(w *world, name string, mem *vfs.MemFS) *disk {
	return &disk{FS: mem, w: w, name: name, mem: mem}
}

// crash ends the use of the disk and returns what is left of it: all, or what was synced.
func (d *disk) crash(power bool) *disk {
	percent := 100
	if power {
		percent = 0
	}
	left := newDisk(d.w, d.name, d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: d.w.rnd}))
	left.lies = d.lies
	d.over.Store(true)
	return left
}

func (d *disk) Unwrap() vfs.FS { return d.mem }

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name)(d.mem.Create(name, c))
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name)(d.mem.OpenReadWrite(name, c, opts...))
}

func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(newname)(d.mem.ReuseForWrite(oldname, newname, c))
}

func (d *disk) file(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil || !strings.HasSuffix(name, ".log") || strings.HasPrefix(name, stores) { // those have none, but Pebble closes it with a lock held
			return f, err
		}
		return &logFile{File: f, d: d}, nil
	}
}

// logFile is a file whose syncs take time.
type logFile struct {
	vfs.File
	d *disk
}

func (f *logFile) wait() {
	if f.d.over.Load() {
		return
	}
	done := make(chan struct{})
	f.d.w.net.post(&message{
		from: f.d.name, to: f.d.name, what: "sync", certain: true, delay: f.d.w.syncTime, arrive: func() { close(done) },
	})
	<-done
}

func (f *logFile) Sync() error {
	f.wait()
	if f.d.lies {
		return nil
	}
	return f.File.Sync()
}

func (f *logFile) SyncData() error {
	f.wait()
	if f.d.lies {
		return nil
	}
	return f.File.SyncData()
}

func (f *logFile) SyncTo(length int64) (bool, error) {
	f.wait()
	if f.d.lies {
		return true, nil
	}
	return f.File.SyncTo(length)
}

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"

	"reprise/tests/e2e/harness"
	"reprise/tests/histories/fault"
)

// disk is a small file system in memory.
type disk struct{ dir string }

const diskSize = "1g"

// newDisk mounts one.
func newDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+diskSize); err != nil {
		return nil, fmt.Errorf("a file system at %s: %w", dir, err)
	}
	return &disk{dir}, nil
}

func (d *disk) close() error { return syscall.Unmount(d.dir, 0) }

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves that many bytes free.
func (d *disk) fill(leave int64) error {
	var space syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &space); err != nil {
		return err
	}
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	size := int64(space.Bavail)*space.Bsize - leave
	err = syscall.Fallocate(int(f.Fd()), 0, 0, max(size, 1))
	if leave == 0 && errors.Is(err, syscall.ENOSPC) { // something else was faster
		err = nil
	}
	return errors.Join(err, f.Close())
}

// diskFaults are a disk on which little is left, less than the log-server keeps free, and one that is full.
func (c *cluster) diskFaults() []fault.Fault {
	full := func(leave int64) func(context.Context, *harness.Form, *rand.Rand) (string, fault.End, error) {
		return func(_ context.Context, f *harness.Form, _ *rand.Rand) (string, fault.End, error) {
			p, err := f.Process(smallDisk)
			if err != nil {
				return "", nil, err
			}
			return smallDisk, func(ctx context.Context) error {
				if err := os.Remove(c.disk.ballast()); err != nil {
					return err
				}
				if leave > 0 && p.Ended() != nil {
					return p.Ended() // it takes nothing, but lives
				}
				return p.Revive(ctx)
			}, c.disk.fill(leave)
		}
	}
	return []fault.Fault{
		{Name: "a disk that is nearly full", Begin: full(32 << 20), Least: fault.Long},
		{Name: "a full disk", Begin: full(0), Least: fault.Long},
	}
}

package query

import (
	"context"
	"fmt"
	"syscall"
)

// niceness is by how much a statement that takes long gives way to the daemon and to everything else. A share of a busy
// core is left to it.
const niceness = 10

// setPriority is for all threads of the process, which is the only one of its group: a priority is one of a thread.
func (p *process) setPriority(nice int) error {
	return syscall.Setpriority(syscall.PRIO_PGRP, p.cmd.Process.Pid, nice)
}

// findPriority finds out whether the process can have its priority back after it gave way; if not, it gives way always.
func (p *process) findPriority(quick bool) error {
	kernel, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return fmt.Errorf("read the priority: %w", err)
	}
	p.nice = 20 - kernel // the system call counts the other way round
	// A little lower and back again: should a thread be made just now, it may keep that.
	if err := p.setPriority(p.nice + 1); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	if p.rises = quick && p.setPriority(p.nice) == nil; p.rises {
		return nil
	}
	return p.setPriority(p.nice + niceness)
}

// giveWay lowers the priority.
func (p *process) giveWay() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.slow = p.setPriority(p.nice+niceness) == nil // else it has ended by itself
	}
}

// rise has the process be as quick as a new one, or says that it cannot.
func (p *process) rise() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slow && !p.ended {
		p.slow = p.setPriority(p.nice) != nil
	}
	return !p.slow
}

// pace has the statement give way once it has run for long.
func (r *Rows) pace() {
	if !r.process.rises {
		return
	}
	r.running.Add(1)
	started := r.engine.spawn(func(stop context.Context) {
		defer r.running.Done()
		timer := r.engine.host.Clock.NewTimer(r.engine.cfg.QuickTime)
		defer timer.Stop()
		select {
		case <-timer.C():
			r.process.giveWay()
		case <-r.ctx.Done():
		case <-stop.Done():
		}
	})
	if !started {
		r.running.Done()
	}
}

package scen

import (
	"context"
	"os"
	"time"

	"reprise/tests/load/internal/procfs"
)

// WaitQuiet waits until processes other than the parties of the benchmark use
// at most the given share of the machine, or the time is up. It returns the
// share seen last.
func WaitQuiet(ctx context.Context, share float64, limit time.Duration, parties func() []int) float64 {
	end := time.Now().Add(limit)
	ours := func() float64 {
		self, _ := procfs.Read(os.Getpid())
		return procfs.ReadAll(parties()).CPU() + self.CPU()
	}
	for {
		m, o := procfs.ReadMachine(), ours()
		select {
		case <-ctx.Done():
			return 1
		case <-time.After(time.Second):
		}
		n, q := procfs.ReadMachine(), ours()
		foreign := 1.0
		if d := n.Total - m.Total; d > 0 {
			foreign = max(0, (n.Busy-m.Busy)-(q-o)) / d
		}
		if foreign <= share || time.Now().After(end) {
			return foreign
		}
	}
}

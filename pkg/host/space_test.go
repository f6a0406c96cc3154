package host_test

import (
	"testing"

	"reprise/pkg/host"
)

func TestReserve(t *testing.T) {
	for _, row := range []struct{ configured, total, want uint64 }{
		{0, 100 << 30, 1 << 30}, {0, 8 << 30, 1 << 30}, {0, 800 << 20, 100 << 20}, {5, 100 << 30, 5}, {0, 0, 0},
	} {
		if got := host.Reserve(row.configured, row.total); got != row.want {
			t.Errorf("reserve of %d bytes with %d configured: %d, want %d", row.total, row.configured, got, row.want)
		}
	}
}

package invariant_test

import (
	"testing"

	"reprise/pkg/invariant"
)

func TestThat(t *testing.T) {
	invariant.That(true, "never shown")
	defer func() {
		if got, want := recover(), "invariant violated: tail 3 is below 7"; got != want {
			t.Errorf("panic is %v, not %q", got, want)
		}
	}()
	invariant.That(false, "tail %d is below %d", 3, 7)
	t.Error("a broken invariant did not panic")
}

package invariant

import "fmt"

// That panics with the message unless cond holds.
func That(cond bool, format string, args ...any) {
	if !cond {
		panic("invariant violated: " + fmt.Sprintf(format, args...))
	}
}

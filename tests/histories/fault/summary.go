package fault

import (
	"fmt"
	"slices"
	"time"
)

// summary is a line about the gaps of callers.
func summary(name string, gaps []time.Duration) string {
	slices.Sort(gaps)
	return fmt.Sprintf("%s, %d times: gaps of callers p50 %s, worst %s", name, len(gaps), gaps[(len(gaps)-1)/2], gaps[len(gaps)-1])
}

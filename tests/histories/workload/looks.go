package workload

import (
	"cmp"
	"fmt"
	"slices"
)

// Stage is how far a workflow is known to be.
type Stage int

// The stages. A workflow never goes back.
const (
	Unknown Stage = iota
	Accepted
	Done
)

// Look is one answer about a workflow. Start and End are in nanoseconds of one clock.
type Look struct {
	Start, End int64
	Stage      Stage
	AtLeast    bool   // it may have been further
	Value      string // its result, when it is done
}

// checkLooks returns what is wrong with the answers about one workflow, or nothing: an answer is stale if another, which came
// before it was asked for, knew more.
func checkLooks(looks []Look) string {
	byEnd := slices.SortedFunc(slices.Values(looks), func(a, b Look) int { return cmp.Compare(a.End, b.End) })
	byStart := slices.SortedFunc(slices.Values(looks), func(a, b Look) int { return cmp.Compare(a.Start, b.Start) })
	known, next, result := Unknown, 0, ""
	for _, l := range byStart {
		for ; next < len(byEnd) && byEnd[next].End < l.Start; next++ {
			known = max(known, byEnd[next].Stage)
		}
		if l.Stage < known && !l.AtLeast {
			return fmt.Sprintf("stale answer %+v: stage %d was known before", l, known)
		}
		if l.Stage != Done {
			continue
		}
		if result != "" && result != l.Value {
			return fmt.Sprintf("results %s and %s", result, l.Value)
		}
		result = l.Value
	}
	return ""
}

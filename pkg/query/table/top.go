package table

import "container/heap"

// top knows the best values of a column that were seen so far.
type top[R any] struct {
	cell       *cell[R]
	descending bool
	rows       int
	best       smallest
}

// keeps tells whether a row can be among the best still. One that equals the worst of them is kept: what is next in the
// order may decide.
func (t *top[R]) keeps(row *R) bool {
	v, known := t.cell.number(row)
	if !known {
		return true
	}
	if !t.descending {
		v = ^v
	}
	switch {
	case len(t.best) < t.rows:
		heap.Push(&t.best, v)
	case v < t.best[0]:
		return false
	case v > t.best[0]:
		t.best[0] = v
		heap.Fix(&t.best, 0)
	}
	return true
}

// smallest is a heap whose first element is the smallest.
type smallest []uint64

func (s smallest) Len() int           { return len(s) }
func (s smallest) Less(i, j int) bool { return s[i] < s[j] }
func (s smallest) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push implements heap.Interface.
func (s *smallest) Push(v any) { *s = append(*s, v.(uint64)) }

// Pop implements heap.Interface.
func (s *smallest) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

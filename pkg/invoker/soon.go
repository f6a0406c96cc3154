package invoker

import "container/heap"

// soonMillis is the longest delay of a retry that fires when it is due, and not with a tick of the wheel.
const soonMillis = 1000

// soon holds the runs that are tried again shortly.
type soon struct {
	runs list // so that a run can leave
	heap dueHeap
}

// dueRun is a run as it was armed. One that left, or was armed again, stays in the heap until then.
type dueRun struct {
	due int64 // Unix ms
	run *run
}

// arm (re)arms r for a time.
func (s *soon) arm(r *run, dueMillis int64) {
	r.unlink()
	r.due = dueMillis
	s.runs.push(r)
	heap.Push(&s.heap, dueRun{dueMillis, r})
}

// next returns when the first one is due.
func (s *soon) next() (dueMillis int64, ok bool) {
	for len(s.heap) > 0 {
		x := s.heap[0]
		if x.run.in == &s.runs && x.run.due == x.due {
			return x.due, true
		}
		heap.Pop(&s.heap)
	}
	return 0, false
}

// advance fires what is due by now. fire may arm and unlink runs.
func (s *soon) advance(nowMillis int64, fire func(*run)) (fired bool) {
	for {
		due, ok := s.next()
		if !ok || due > nowMillis {
			return fired
		}
		r := heap.Pop(&s.heap).(dueRun).run
		r.unlink()
		fire(r)
		fired = true
	}
}

type dueHeap []dueRun

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueRun)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = dueRun{}
	*h = old[:len(old)-1]
	return x
}

package history

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Effect is one addition of 1 to an account, in the name of a request.
type Effect struct {
	Account string `json:"account"`
	Mark    string `json:"mark"`
}

// Record is one request of a client, repeated with the same idempotency key until it was answered.
type Record struct {
	Op       string    `json:"op"`
	Kind     string    `json:"kind"`
	Effects  []Effect  `json:"effects"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"` // zero: it was never answered
	Attempts int       `json:"attempts"`
	// Value is what the first effect's account held after that effect; 0 if the answer does not say.
	Value  int    `json:"value,omitempty"`
	Answer string `json:"answer,omitempty"`
}

// Acked tells whether the request was answered.
func (r Record) Acked() bool { return !r.End.IsZero() }

// Account is what a counter holds: the sum, and how often it was raised in each name.
type Account struct {
	Total int            `json:"total"`
	Marks map[string]int `json:"marks"`
}

// History collects records. It is safe for concurrent use.
type History struct {
	mu      sync.Mutex
	records []Record
	acked   int
}

// Add adds a finished record.
func (h *History) Add(r Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = append(h.records, r)
	if r.Acked() {
		h.acked++
	}
}

// Acked is the number of answered requests so far.
func (h *History) Acked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acked
}

// Records returns a copy of what was collected.
func (h *History) Records() []Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records)
}

// Check returns what is wrong, in words; nothing if every answered request took effect exactly once,
// no other more than once, and the counters counted in the order that the clients saw.
func Check(records []Record, accounts map[string]Account) []string {
	faults := checkEffects(records, accounts)
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		faults = append(faults, checkOrder(name, records)...)
	}
	return faults
}

func checkEffects(records []Record, accounts map[string]Account) []string {
	var faults []string
	asked := map[Effect]bool{}
	for _, r := range records {
		for _, e := range r.Effects {
			asked[e] = true
			n := accounts[e.Account].Marks[e.Mark]
			switch {
			case n > 1:
				faults = append(faults, fmt.Sprintf("doubled: %s of %s took effect %d times on %s", r.Op, r.Kind, n, e.Account))
			case n == 0 && r.Acked():
				faults = append(faults, fmt.Sprintf("lost: %s of %s was answered at %s and left no effect on %s",
					r.Op, r.Kind, r.End.Format("15:04:05.000"), e.Account))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(accounts)) {
		sum := 0
		for _, mark := range slices.Sorted(maps.Keys(accounts[name].Marks)) {
			sum += accounts[name].Marks[mark]
			if !asked[Effect{name, mark}] {
				faults = append(faults, fmt.Sprintf("invented: %s holds %s, which nobody asked for", name, mark))
			}
		}
		if sum != accounts[name].Total {
			faults = append(faults, fmt.Sprintf("torn: the total of %s is %d, its marks sum up to %d", name, accounts[name].Total, sum))
		}
	}
	return faults
}

// checkOrder checks that an account behaved like one counter: no two requests saw the same value, and
// one that was answered before another was sent saw the smaller one. For a counter that only grows
// by one, that is linearizability.
func checkOrder(account string, records []Record) []string {
	var seen []Record
	for _, r := range records {
		if r.Acked() && r.Value > 0 && len(r.Effects) > 0 && r.Effects[0].Account == account {
			seen = append(seen, r)
		}
	}
	slices.SortFunc(seen, func(a, b Record) int { return a.Value - b.Value })
	var faults []string
	for i := 1; i < len(seen); i++ {
		if a, b := seen[i-1], seen[i]; a.Value == b.Value {
			faults = append(faults, fmt.Sprintf("doubled: %s and %s both saw %s become %d", a.Op, b.Op, account, a.Value))
		}
	}
	// Backwards, with the earliest end of all larger values: nobody with a larger value may have been
	// answered before this one was sent.
	var first Record
	for _, r := range slices.Backward(seen) {
		if !first.End.IsZero() && first.End.Before(r.Start) && first.Value > r.Value {
			faults = append(faults, fmt.Sprintf("out of order: %s saw %s become %d and was answered before %s was sent, which saw %d",
				first.Op, account, first.Value, r.Op, r.Value))
		}
		if first.End.IsZero() || r.End.Before(first.End) {
			first = r
		}
	}
	return faults
}

package memory

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"reprise/pkg/id"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func config() Config {
	return Config{Interval: 3 * time.Second, FlushesMax: 2, IdleAfter: 10 * time.Second, HeldMax: time.Minute}
}

// writing is a store that holds bytes and was just written to.
func writing(p id.Partition, bytes int64, written uint64) Standing {
	return Standing{ID: p, Bytes: bytes, Written: written}
}

// book looks once a second and says in words what is ordered.
type book struct {
	*Ledger
	now    time.Time
	budget Budget
}

func newBook(budgetBytes int64) *book {
	return &book{NewLedger(config()), start, Budget{Bytes: budgetBytes}}
}

func (b *book) look(open ...Standing) (orders string, waiting int) {
	b.now = b.now.Add(time.Second)
	b.Look(b.now, open)
	all, waiting := b.Orders(b.now, b.budget, open)
	for _, o := range all {
		orders += fmt.Sprintf("%d %s %d;", o.ID, o.Why, o.Bytes)
	}
	return orders, waiting
}

func TestShareIsEvenOverOpenStores(t *testing.T) {
	for _, row := range []struct {
		budget int64
		open   int
		share  int64
		table  int64
	}{
		{64 << 20, 1, 64 << 20, 32 << 20},
		{64 << 20, 2, 32 << 20, 16 << 20},
		{64 << 20, 64, 1 << 20, 512 << 10},
		{64 << 20, 256, 256 << 10, 256 << 10}, // no store works with less
		{64 << 20, 0, 64 << 20, 32 << 20},     // none is open: the first one may have all
	} {
		if got := Share(row.budget, row.open); got != row.share {
			t.Errorf("share of %d over %d stores: %d, want %d", row.budget, row.open, got, row.share)
		}
		if got := TableBytes(row.budget, row.open); got != row.table {
			t.Errorf("memtables of %d over %d stores: %d, want %d", row.budget, row.open, got, row.table)
		}
	}
}

// Whoever is above its share is flushed, the largest first, two at a time, and again not before an interval is over.
func TestStoresAboveTheirShareAreFlushedBySize(t *testing.T) {
	b := newBook(400)
	all := []Standing{writing(0, 101, 5), writing(1, 100, 5), writing(2, 300, 5), writing(3, 200, 5)}
	if got, waiting := b.look(all...); got != "2 over 300;3 over 200;" || waiting != 1 {
		t.Errorf("first: %s, %d wait", got, waiting)
	}
	if got, waiting := b.look(all...); got != "" || waiting != 1 {
		t.Errorf("while both are under way: %s, %d wait", got, waiting)
	}
	b.Ended(2)
	if got, waiting := b.look(all...); got != "0 over 101;" || waiting != 0 {
		t.Errorf("with one place: %s, %d wait", got, waiting)
	}
	b.Ended(3)
	if got, _ := b.look(all...); got != "2 over 300;" { // asked for three seconds ago
		t.Errorf("after an interval: %s", got)
	}
}

// A store that opens makes the shares of all smaller, one that closes makes them larger.
func TestSharesFollowOpeningAndClosing(t *testing.T) {
	b := newBook(300)
	if got, _ := b.look(writing(0, 150, 1), writing(1, 10, 1)); got != "" {
		t.Errorf("two stores: %s", got)
	}
	if got, _ := b.look(writing(0, 150, 1), writing(1, 10, 1), writing(2, 10, 1)); got != "0 over 150;" {
		t.Errorf("three stores: %s", got)
	}
	b.Ended(0)
	b.now = b.now.Add(3 * time.Second)
	if got, _ := b.look(writing(0, 150, 1), writing(1, 10, 1)); got != "" {
		t.Errorf("two again: %s", got)
	}
}

func TestReclaimerMayBeSwitchedOff(t *testing.T) {
	b := newBook(100)
	b.budget.NoReclaim = true
	if got, _ := b.look(writing(0, 1000, 1)); got != "" {
		t.Errorf("switched off: %s", got)
	}
	b.budget.NoReclaim = false
	if got, _ := b.look(writing(0, 1000, 1)); got != "0 over 1000;" {
		t.Errorf("switched on: %s", got)
	}
	b.Ended(0)
	b.budget.NoReclaim = true
	b.now = b.now.Add(10 * time.Second)
	if got, _ := b.look(writing(0, 1000, 1)); got != "0 idle 1000;" { // trimming goes on
		t.Errorf("idle: %s", got)
	}
}

func TestIdleStoresAreFlushed(t *testing.T) {
	b := newBook(1000)
	for i := range 10 {
		if got, _ := b.look(writing(0, 1, 7), writing(1, 1, uint64(i))); got != "" {
			t.Fatalf("after %d s: %s", i, got)
		}
	}
	if got, _ := b.look(writing(0, 1, 7), writing(1, 1, 11)); got != "0 idle 1;" {
		t.Errorf("after 10 s: %s", got)
	}
	b.Ended(0)
	for range 100 {
		if got, _ := b.look(Standing{ID: 0, Written: 7, Flushed: 7}); got != "" { // nothing is left to flush
			t.Fatalf("flushed: %s", got)
		}
	}
	// What is written then has its own time.
	for i := range 10 {
		if got, _ := b.look(Standing{ID: 0, Bytes: 1, Written: 8, Flushed: 7}); got != "" {
			t.Fatalf("%d s after another write: %s", i, got)
		}
	}
	if got, _ := b.look(Standing{ID: 0, Bytes: 1, Written: 8, Flushed: 7}); got != "0 idle 1;" {
		t.Errorf("after another write: %s", got)
	}
}

// One that is written to all the time, and hardly, would never be idle nor above its share.
func TestRowsAreNotHeldForLong(t *testing.T) {
	b := newBook(1000)
	for i := range 60 {
		if got, _ := b.look(writing(0, 1, uint64(i+1))); got != "" {
			t.Fatalf("after %d s: %s", i, got)
		}
	}
	if got, _ := b.look(writing(0, 1, 61)); got != "0 held 1;" {
		t.Errorf("after a minute: %s", got)
	}
	b.Ended(0)
	for i := range 60 { // from its end on
		if got, _ := b.look(Standing{ID: 0, Bytes: 1, Written: uint64(62 + i), Flushed: 61}); got != "" {
			t.Fatalf("%d s after a flush: %s", i, got)
		}
	}
}

// A store that was closed while it was flushed takes a place until that has ended, and one that was opened anew begins anew.
func TestClosedStoresAreForgotten(t *testing.T) {
	b := newBook(1)
	b.look(writing(0, 10, 1), writing(1, 10, 1))
	if got, waiting := b.look(writing(2, 10, 1)); got != "" || waiting != 1 {
		t.Errorf("both places are taken: %s, %d wait", got, waiting)
	}
	b.Ended(0)
	if got, _ := b.look(writing(2, 10, 1)); got != "2 over 10;" {
		t.Errorf("one place is free: %s", got)
	}
	b.Ended(1)
	b.Ended(2)
	b.look()
	if len(b.of) != 0 {
		t.Errorf("%d are remembered", len(b.of))
	}
	b.budget.Bytes = 1000
	b.look(writing(3, 1, 100))
	for i := range 10 {
		if got, _ := b.look(writing(3, 1, 50)); got != "" { // its store was replaced: it has fewer
			t.Fatalf("opened anew, after %d s: %s", i, got)
		}
	}
}

// The order of the stores, as they happen to come, changes nothing.
func TestOrdersDoNotDependOnOrder(t *testing.T) {
	all := []Standing{writing(0, 50, 1), writing(1, 50, 1), writing(2, 50, 1), writing(3, 50, 1)}
	want, _ := newBook(4).look(all...)
	slices.Reverse(all)
	if got, _ := newBook(4).look(all...); got != want || want != "0 over 50;1 over 50;" {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBadConfigsAreRefused(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []Config{{}, {Interval: 1, FlushesMax: 0, IdleAfter: 1, HeldMax: 1}, {Interval: -1, FlushesMax: 1, IdleAfter: 1, HeldMax: 1}} {
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

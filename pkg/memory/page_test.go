package memory_test

// What the contract's page on memory says, and the test that is named after it. Where a statement is about another engine, the one here says
// what is done instead; docs/configuration.md and docs/adr/0026 have the reasons.
//
//	The budget of the stores
//	  the total is 2 GiB, for caches and memtables of all stores of a node
//	  85 % of it are for memtables, the rest is the block cache
//	  workers have 0.49 of the memtables, log-servers 0.5
//	  a budget that is set wins over the ratio
//	  the share of a role that is absent is given to nobody, but budgets may be set
//	  the metadata store has 0.01 of them, a local log 0.5: here neither has memtables
//	  a ratio is above 0 and at most 1, a budget fits into the total, sizes have units: else the fault is named
//	  budgets and ratios that are more than the total together are said
//	The cache
//	  it is the total without the memtables, whether they take theirs or not
//	  it does not shrink when the load falls, nor grow
//	Partition stores
//	  the budget is split evenly over those that are open
//	  a memtable is half a share
//	  it is split again every few seconds
//	  and at once when a store opens or closes, or a setting changes
//	  the largest that is above its share is flushed first
//	  the reclaimer may be switched off
//	  idle partitions are flushed, so that trimming moves
//	  no heartbeat, append or other partition waits for any of that
//	The log store
//	  a memtable is a quarter of its budget, and four may be full
//	Pools
//	  the record cache is bounded; here there is none
//	  SQL has a memory of its own
//	  the messages of attempts have a budget of the node, and one of each invocation, which begins with a little
//	  messages between daemons that have no pool of their own
//	  records that wait at a log-server, never below the largest message
//	  requests that wait at the leaders of a node
//	  requests that wait at one leader
//	  messages between partitions on their way
//	  ingestion: here there is none
//	The process
//	  more than 90 % of the cgroup's limit is a warning, more than 100 % an error
//	  the Go heap is bounded by what the stores leave
//	  sizes are live
//	  SIGUSR1 writes the settings and the state of the memory
//	  metrics show the pools, the budget and what is used

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/pkg/id"
	"reprise/pkg/memory"
)

// contents are the tests by statement, and where they are.
var contents = []struct{ file, tests string }{
	{"pkg/config/memory_page_test.go", `TestMemoryPageTotalIsForCachesAndMemtables TestMemoryPageMemtablesAre85PercentAndTheCacheIsTheRest TestMemoryPageWorkersHave49AndLogServersHalfOfTheMemtables
		TestMemoryPageBudgetWinsOverTheRatio TestMemoryPageShareOfAnAbsentRoleIsGivenToNobody TestMemoryPageMetadataAndLocalLogsHaveNoMemtables TestMemoryPageBadValuesAreNamed
		TestMemoryPageMoreThanTheTotalIsSaid TestMemoryPageRecordCacheHasNoEffect TestMemoryPageFabricMemoryIsBoundedByMessagesAndWindows TestMemoryPageIngestionHasNoEffect TestMemoryPageSizesAreLive`},
	{"pkg/memory/page_test.go", `TestMemoryPageBudgetIsSplitEvenlyOverOpenPartitions TestMemoryPageMemtableIsHalfAShare TestMemoryPageBudgetIsSplitAgainEveryFewSeconds TestMemoryPageBudgetIsSplitAtOnceOnChange
		TestMemoryPageLargestAboveItsShareIsFlushedFirst TestMemoryPageReclaimerMayBeSwitchedOff TestMemoryPageIdlePartitionsAreFlushed`},
	{"pkg/memory/ledger_test.go", "TestStoresAboveTheirShareAreFlushedBySize TestReclaimerMayBeSwitchedOff TestIdleStoresAreFlushed TestRowsAreNotHeldForLong"},
	{"pkg/partitionstore/shared_test.go", "TestBlocksHaveTheirPartOfTheCache"},
	{"pkg/processor/memory_test.go", "TestShareFollowsOpenStores TestStoresAboveTheirShareAreFlushed TestIdlePartitionIsFlushed TestBlockedFlushHoldsNobodyUp"},
	{"pkg/processor/limits_test.go", "TestRequestsAreBounded TestMessagesAreBounded TestNodeHoldsABoundedNumberOfBytes"},
	{"services/worker/wire/memory_page_test.go", `TestMemoryPageCacheIsTheTotalWithoutTheMemtables TestMemoryPageMemtablesAreSmallEnoughToReplay TestMemoryPagePoolsOfTheWorker TestMemoryPageAttemptsHaveABudgetOfTheNodeAndOneEach`},
	{"services/log-server/wire/memory_page_test.go", "TestMemoryPageMemtablesOfTheLogFitIntoTheirBudget TestMemoryPageRecordsThatWaitAtALogServer"},
	{"services/internal/daemon/memory_test.go", "TestMemoryPageWarnsAbove90PercentOfTheCgroupAndErrsAbove100 TestHeapIsBounded TestMemoryFollowsTheSettings"},
	{"services/internal/daemon/watch_test.go", "TestStateOnSignal"},
	{"pkg/invoker/limits_test.go", "TestTokensComeWithMemory TestYield TestInvocationAboveItsMemory"},
	{"pkg/invoker/set_test.go", "TestLimitsAreLive"},
	{"pkg/logserver/limits_test.go", "TestBytesThatWaitAreBounded"},
	{"pkg/query/engine_test.go", "TestMemory"},
}

// The tests that the contents name exist.
func TestMemoryPageContents(t *testing.T) {
	for _, c := range contents {
		text, err := os.ReadFile(filepath.Join("../..", c.file))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, name := range strings.Fields(c.tests) {
			if !strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
				t.Errorf("%s has no %s", c.file, name)
			}
		}
	}
}

func TestMemoryPageBudgetIsSplitEvenlyOverOpenPartitions(t *testing.T) {
	r := run(t, 853<<20)
	for p := range id.Partition(24) {
		r.stores.open(p, 1)
	}
	r.settle()
	if got, want := r.Share(), int64(853<<20/24); got != want {
		t.Errorf("each has %d, want %d", got, want)
	}
}

func TestMemoryPageMemtableIsHalfAShare(t *testing.T) {
	r := run(t, 64<<20)
	if got := r.TableBytes(16); got != 2<<20 {
		t.Errorf("one of 16: %d", got)
	}
	for p := range id.Partition(32) { // more are open than were expected
		r.stores.open(p, 1)
	}
	r.settle()
	if got := r.TableBytes(16); got != 1<<20 {
		t.Errorf("of 32: %d", got)
	}
}

func TestMemoryPageBudgetIsSplitAgainEveryFewSeconds(t *testing.T) {
	r := run(t, 100)
	r.stores.open(0, 1)
	r.stores.open(1, 1)
	for len(r.stores.looked) > 0 {
		<-r.stores.looked
	}
	r.clock.Advance(memory.Default().Interval) // nobody says anything
	<-r.stores.looked
	r.clock.Await(1)
	r.clock.Advance(memory.Default().Interval)
	<-r.stores.looked // the look before is over
	if got := r.Share(); got != 50 {
		t.Errorf("each has %d", got)
	}
}

func TestMemoryPageBudgetIsSplitAtOnceOnChange(t *testing.T) {
	r := run(t, 100)
	r.stores.open(0, 1)
	r.Wake()
	r.Set(memory.Budget{Bytes: 60})
	r.settle()
	if got := r.Share(); got != 60 {
		t.Errorf("it has %d", got)
	}
}

func TestMemoryPageLargestAboveItsShareIsFlushedFirst(t *testing.T) {
	r := run(t, 30)
	r.stores.fail = nil
	r.stores.block[2] = make(chan struct{})
	r.stores.block[1] = make(chan struct{})
	for p, bytes := range []int64{20, 40, 60} {
		r.stores.open(id.Partition(p), bytes)
	}
	r.settle()
	first, second := <-r.stores.asked, <-r.stores.asked
	if first+second != 3 || first == 0 || second == 0 {
		t.Errorf("partitions %d and %d are flushed", first, second)
	}
	close(r.stores.block[2])
	if third := <-r.stores.asked; third != 0 {
		t.Errorf("then partition %d", third)
	}
	close(r.stores.block[1])
}

func TestMemoryPageReclaimerMayBeSwitchedOff(t *testing.T) {
	r := run(t, 100)
	r.Set(memory.Budget{Bytes: 1, NoReclaim: true})
	r.stores.open(0, 1000)
	r.settle()
	if len(r.stores.asked) != 0 {
		t.Error("a store above its share is flushed")
	}
	r.Set(memory.Budget{Bytes: 1})
	if p := <-r.stores.asked; p != 0 {
		t.Errorf("partition %d is flushed", p)
	}
}

func TestMemoryPageIdlePartitionsAreFlushed(t *testing.T) {
	r := run(t, 1<<40)
	r.Set(memory.Budget{Bytes: 1 << 40, NoReclaim: true}) // which is about shares
	r.stores.open(5, 1)
	r.settle()
	for range 4 {
		r.pass(3 * time.Second)
	}
	if p := <-r.stores.asked; p != 5 {
		t.Errorf("partition %d is flushed", p)
	}
}

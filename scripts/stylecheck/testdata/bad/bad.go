package util // want doc name

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup" // want goroutine
)

// ErrFine is a sentinel: allowed.
var ErrFine = errors.New("fine")

var (
	count int
	table = map[string]int{"a": 1}
	once  sync.Once
	read  = []int{1, 2, 3}
)

func init() { // want init
	count = 1 // want variable
}

func hidden() time.Duration {
	f := time.Now                                         // want clock
	time.Sleep(1)                                         // want clock
	if rand.N(3) == rand.New(rand.NewPCG(1, 2)).IntN(3) { // want rand
		return 0
	}
	return time.Duration(f().Unix()) * time.Second
}

func changes() int {
	table["b"]++       // want variable
	delete(table, "a") // want variable
	once.Do(func() {}) // want variable
	p := &count        // want variable
	local := read[0]
	local++
	return *p + local
}

type shape struct{ n int }

type box struct{ n int }

var (
	frozen = shape{1}
	open   = box{1}
)

func (s *shape) value() int { return s.n }

func (b *box) set(n int) { b.n = n }

func tables() {
	_, _ = &frozen, frozen.value()
	open.set(2) // want variable
	_ = &open   // want variable
}

func starts() {
	go hidden() // want goroutine
	//style:goroutine the test shows that an excuse works
	go hidden()
	var w sync.WaitGroup
	w.Go(func() {}) // want goroutine
	var g errgroup.Group
	_ = g.Wait()
}

func logs(l *slog.Logger, key string) {
	l.Info("Upper case") // want logkey
	l.Info("fine")
	l.Info("bad key", "some", 1)  // want logkey
	l.Warn("bad key", key, 1)     // want logkey
	l.Error(key)                  // want logkey
	l.With(slog.String("x", "y")) // want logkey
}

// nolint
func unused() {} // TODO tidy up

//style:clock
//style:nothing because

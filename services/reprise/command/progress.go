package command

import "strings"

// bar shows on a terminal how far a long command is.
type bar struct {
	r           *runner
	done, total int
}

const barColumns = 40

// newBar returns a bar; what takes one step has none.
func (r *runner) newBar(total int) *bar {
	b := &bar{r: r, total: total}
	if total > batchMax {
		b.add(0)
	}
	return b
}

// add says that n more are done.
func (b *bar) add(n int) {
	b.done += n
	if !b.shown() {
		return
	}
	full := barColumns * b.done / b.total
	b.r.printf("\r [%s%s] %d/%d", strings.Repeat("#", full), strings.Repeat("-", barColumns-full), b.done, b.total)
}

// end leaves the bar as it is, and a new line after it.
func (b *bar) end() {
	if b.shown() {
		b.r.printf("\n")
	}
}

func (b *bar) shown() bool { return b.r.env.Terminal && b.total > batchMax }

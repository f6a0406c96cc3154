package command

import (
	"context"
	"io"

	"reprise/pkg/lifecycle"
)

// input reads what the user types until ctx ends: at a terminal a read goes on waiting after Ctrl-C, and the
// program, which catches the signal, must not.
type input struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for it
	from io.Reader
}

type chunk struct {
	data []byte
	err  error
}

// Read reads from the user. When ctx ends, the read that waits is left behind; the program ends soon.
func (in *input) Read(b []byte) (int, error) {
	got := make(chan chunk, 1) // never blocks who was left behind
	lifecycle.NewGroup(in.ctx).Go("input", func(context.Context) error {
		buf := make([]byte, len(b)) // b is the caller's again once Read has returned
		n, err := in.from.Read(buf)
		got <- chunk{buf[:n], err}
		return nil
	})
	select {
	case <-in.ctx.Done():
		return 0, context.Cause(in.ctx)
	case c := <-got:
		return copy(b, c.data), c.err
	}
}

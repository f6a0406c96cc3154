package query

import (
	"context"
	"errors"
	"io"

	"reprise/pkg/errs"
	"reprise/pkg/query/pipe"
)

// pieceBytes is how much of a stream is handed over at a time.
const pieceBytes = 64 << 10

// Cluster runs a statement over the catalog of the cluster and sends its Arrow stream in pieces. warnings say what is
// missing from the rows. Codes: Invalid for what is wrong with the statement.
func (e *Engine) Cluster(ctx context.Context, sql string, send func(piece []byte) error) (warnings []string, err error) {
	rows, err := e.Ask(ctx, Cluster, sql)
	if err != nil {
		return nil, told(err)
	}
	defer func() { _ = rows.Close() }() // only read
	piece := make([]byte, pieceBytes)
	for {
		n, err := rows.Read(piece)
		if n > 0 {
			if err := send(piece[:n]); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			return rows.Warnings(), nil
		}
		if err != nil {
			return nil, told(err)
		}
	}
}

// told gives what is wrong with a statement the code for that.
func told(err error) error {
	var failed *pipe.Failure
	if errors.As(err, &failed) {
		return errs.With(errs.Invalid, failed)
	}
	return err
}

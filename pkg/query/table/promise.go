package table

import (
	"fmt"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// promiseRow is a durable promise of a workflow.
type promiseRow struct {
	service, key, name string
	result             *storedv1.Result // nil: not completed
}

var promiseCells = []cell[promiseRow]{
	numberOf("partition_key", func(r *promiseRow) uint64 { return uint64(id.Hash(r.key)) }),
	textOf("service_name", func(r *promiseRow) string { return r.service }),
	textOf("service_key", func(r *promiseRow) string { return r.key }),
	textOf("key", func(r *promiseRow) string { return r.name }),
	flagOf("completed", func(r *promiseRow) bool { return r.result != nil }),
	{name: "completion_success_value", bytes: func(r *promiseRow) ([]byte, bool) {
		return r.result.GetValue(), r.succeeded()
	}},
	{name: "completion_success_value_utf8", text: func(r *promiseRow) (string, bool) {
		text, ok := utf8Text(r.result.GetValue())
		return text, ok && r.succeeded()
	}},
	{name: "completion_failure", text: func(r *promiseRow) (string, bool) {
		f := r.result.GetFailure()
		return fmt.Sprintf("[%d%s] %s", f.GetCode(), statusName(f.GetCode()), f.GetMessage()), f != nil
	}},
}

func (r *promiseRow) succeeded() bool { return r.result != nil && r.result.GetFailure() == nil }

func promiseRows(in *input, yield func(*promiseRow) error) error {
	rows := in.snap.Promises(in.object())
	return walk(rows, func() (promiseRow, error) {
		p, row, err := rows.Next()
		return promiseRow{service: p.Service, key: p.Key, name: p.Name, result: row.GetResult()}, err
	}, yield)
}

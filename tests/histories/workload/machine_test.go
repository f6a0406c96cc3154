package workload

import (
	"math"
	"testing"

	"github.com/anishathalye/porcupine"
)

// op is an operation from one time to another.
func op(from, to int64, in Input, out Answer) porcupine.Operation {
	return porcupine.Operation{Call: from, Return: to, Input: in, Output: out}
}

func is(value int, ok bool) Answer { return Answer{Output: Output{Value: value, OK: ok}} }

// The models find what is wrong.
func TestModels(t *testing.T) {
	never := int64(math.MaxInt64)
	for _, row := range []struct {
		name, kind string
		history    []porcupine.Operation
		want       bool
	}{
		{"a read after a write", "Register", []porcupine.Operation{
			op(1, 2, Input{Verb: "write", Value: 5}, is(0, true)), op(3, 4, Input{Verb: "read"}, is(5, false)),
		}, true},
		{"a stale read", "Register", []porcupine.Operation{
			op(1, 2, Input{Verb: "write", Value: 5}, is(0, true)), op(3, 4, Input{Verb: "read"}, is(0, false)),
		}, false},
		{"a read beside a write", "Register", []porcupine.Operation{
			op(1, 5, Input{Verb: "write", Value: 5}, is(0, true)), op(3, 4, Input{Verb: "read"}, is(0, false)),
		}, true},
		{"two win one compare and set", "Register", []porcupine.Operation{
			op(1, 5, Input{Verb: "cas", Old: 0, Value: 7}, is(0, true)), op(1, 5, Input{Verb: "cas", Old: 0, Value: 8}, is(0, true)),
		}, false},
		{"a lost write without an answer", "Register", []porcupine.Operation{
			op(1, never, Input{Verb: "write", Value: 5}, Answer{None: true}), op(3, 4, Input{Verb: "read"}, is(0, false)),
		}, true},
		{"an addition that was made twice", "Counter", []porcupine.Operation{
			op(1, 2, Input{Verb: "add", Value: 1}, is(1, true)), op(3, 4, Input{Verb: "add", Value: 1}, is(3, true)),
		}, false},
		{"one item that two took", "Queue", []porcupine.Operation{
			op(1, 2, Input{Verb: "push", Value: 9}, is(1, true)), op(3, 6, Input{Verb: "pop"}, is(9, true)), op(3, 6, Input{Verb: "pop"}, is(9, true)),
		}, false},
		{"a queue out of order", "Queue", []porcupine.Operation{
			op(1, 2, Input{Verb: "push", Value: 8}, is(1, true)), op(3, 4, Input{Verb: "push", Value: 9}, is(2, true)), op(5, 6, Input{Verb: "pop"}, is(9, true)),
		}, false},
		{"a set", "Set", []porcupine.Operation{
			op(1, 2, Input{Verb: "add", Value: 1}, is(0, false)), op(3, 4, Input{Verb: "has", Value: 1}, is(0, true)),
			op(5, 6, Input{Verb: "remove", Value: 1}, is(0, true)), op(7, 8, Input{Verb: "add", Value: 1}, is(0, false)),
		}, true},
		{"a lost removal", "Set", []porcupine.Operation{
			op(1, 2, Input{Verb: "add", Value: 1}, is(0, false)), op(3, 4, Input{Verb: "remove", Value: 1}, is(0, true)),
			op(5, 6, Input{Verb: "has", Value: 1}, is(0, true)),
		}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(model(machines[row.kind]), row.history); got != row.want {
				t.Errorf("linearizable: %t", got)
			}
		})
	}
}

// Looks of a workflow find what is wrong.
func TestLooks(t *testing.T) {
	for _, row := range []struct {
		name  string
		looks []Look
		want  bool
	}{
		{"it goes on", []Look{{Start: 1, End: 2, Stage: Accepted}, {Start: 3, End: 4, Stage: Accepted}, {Start: 5, End: 6, Stage: Done, Value: "a"}}, true},
		{"beside each other", []Look{{Start: 1, End: 4, Stage: Done, Value: "a"}, {Start: 2, End: 9, Stage: Accepted}}, true},
		{"a stale answer", []Look{{Start: 1, End: 2, Stage: Done, Value: "a"}, {Start: 3, End: 4, Stage: Accepted}}, false},
		{"accepted again", []Look{{Start: 1, End: 2, Stage: Done, Value: "a"}, {Start: 3, End: 4, Stage: Accepted, AtLeast: true}}, true},
		{"forgotten", []Look{{Start: 1, End: 2, Stage: Accepted}, {Start: 3, End: 4, Stage: Unknown}}, false},
		{"two results", []Look{{Start: 1, End: 4, Stage: Done, Value: "a"}, {Start: 2, End: 3, Stage: Done, Value: "b"}}, false},
	} {
		if fault := checkLooks(row.looks); (fault == "") != row.want {
			t.Errorf("%s: %q", row.name, fault)
		}
	}
}

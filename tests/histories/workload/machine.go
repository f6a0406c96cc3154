package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// Input is what a client asks of an object.
type Input struct {
	Verb  string `json:"verb"`
	Value int    `json:"value"`
	Old   int    `json:"old"` // of a compare and set
}

// Output is the object's answer.
type Output struct {
	Value int  `json:"value"`
	OK    bool `json:"ok"`
}

// machine is what an object does with its state: in the handler, and in the model that its history is checked with.
type machine func(state string, in Input) (next string, out Output)

// machines are the kinds of objects by name.
var machines = map[string]machine{"Register": register, "Counter": counter, "Queue": queue, "Set": set}

// reads tells of each verb whether it leaves the state as it is: it may be asked of a shared handler.
func reads(verb string) bool { return verb == "read" || verb == "has" }

func number(state string) int {
	n, _ := strconv.Atoi(state) // the empty state is 0
	return n
}

func register(state string, in Input) (string, Output) {
	value := number(state)
	switch {
	case in.Verb == "write", in.Verb == "cas" && value == in.Old:
		return strconv.Itoa(in.Value), Output{Value: value, OK: true}
	default:
		return state, Output{Value: value}
	}
}

func counter(state string, in Input) (string, Output) {
	sum := number(state)
	if in.Verb == "add" {
		sum += in.Value
	}
	return strconv.Itoa(sum), Output{Value: sum, OK: true}
}

func list(state string) []string {
	if state == "" {
		return nil
	}
	return strings.Split(state, " ")
}

func queue(state string, in Input) (string, Output) {
	items := list(state)
	switch {
	case in.Verb == "push":
		items = append(items, strconv.Itoa(in.Value))
		return strings.Join(items, " "), Output{Value: len(items), OK: true}
	case len(items) == 0:
		return state, Output{}
	case in.Verb == "read":
		return state, Output{Value: number(items[0]), OK: true}
	default:
		return strings.Join(items[1:], " "), Output{Value: number(items[0]), OK: true}
	}
}

func set(state string, in Input) (string, Output) {
	items, item := list(state), strconv.Itoa(in.Value)
	at, there := slices.BinarySearch(items, item)
	switch {
	case in.Verb == "add" && !there:
		items = slices.Insert(items, at, item)
	case in.Verb == "remove" && there:
		items = slices.Delete(items, at, at+1)
	}
	return strings.Join(items, " "), Output{OK: there}
}

// Answer is an output, or that there was none.
type Answer struct {
	Output
	None bool
}

// model is what histories of a machine are checked with.
func model(m machine) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, in, out any) (bool, any) {
			next, want := m(state.(string), in.(Input))
			answer := out.(Answer)
			return answer.None || answer.Output == want, next
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
}

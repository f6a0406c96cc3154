package partition_test

import (
	"bytes"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/partition"
	"reprise/pkg/serviceproto"
)

func TestCheck(t *testing.T) {
	someone := id.WorkflowInvocation("Wf", "a")
	target := &storedv1.InvokeFacts{Target: &storedv1.Target{Service: "S", Handler: "h"}}
	input := serviceproto.AppendInput(nil, nil, []byte("x"))
	signal := serviceproto.AppendSignalValue(nil, 17, []byte("v"))
	result := &storedv1.Result{Result: &storedv1.Result_Value{Value: []byte("v")}}
	for _, row := range []struct {
		name  string
		kind  command.Kind
		facts command.Facts
		body  []byte
		harm  func(rec []byte) // after it was made
		ok    bool
	}{
		{"invoke", command.Invoke, target, input, nil, true},
		{"facts that do not decode", command.Invoke, target, input, func(rec []byte) { rec[command.HeaderSize] = 0xff }, false},
		{"no target", command.Invoke, &storedv1.InvokeFacts{}, input, nil, false},
		{"sink", command.Invoke, &storedv1.InvokeFacts{Target: target.Target, Sink: &storedv1.Sink{Invocation: someone[:]}}, input, nil, true},
		{"sink that is no id", command.Invoke, &storedv1.InvokeFacts{Target: target.Target, Sink: &storedv1.Sink{Invocation: someone[1:]}}, input, nil, false},
		{"attach", command.Attach, &storedv1.AttachFacts{Sink: &storedv1.Sink{Invocation: someone[:]}}, nil, nil, true},
		{"attach for nobody", command.Attach, &storedv1.AttachFacts{}, nil, nil, false},
		{"no input", command.Invoke, target, nil, nil, false},
		{"half an input", command.Invoke, target, input[:len(input)-1], nil, false},
		{"two inputs", command.Invoke, target, append(bytes.Clone(input), input...), nil, false},
		{"another frame", command.Invoke, target, signal, nil, false},
		{"signal", command.Signal, nil, signal, nil, true},
		{"signal without a frame", command.Signal, nil, nil, nil, false},
		{"signal that is an input", command.Signal, nil, input, nil, false},
		{"half a signal", command.Signal, nil, signal[:len(signal)-1], nil, false},
		{"response without a frame", command.Respond, nil, nil, nil, false},
		{"share", command.Share, &storedv1.ShareFacts{Result: result, Sinks: []*storedv1.Sink{{Invocation: someone[:]}}}, nil, nil, true},
		{"share of nothing", command.Share, &storedv1.ShareFacts{Sinks: []*storedv1.Sink{{Invocation: someone[:]}}}, nil, nil, false},
		{"share with nobody", command.Share, &storedv1.ShareFacts{Result: result}, nil, nil, false},
		{"share with no id", command.Share, &storedv1.ShareFacts{Result: result, Sinks: []*storedv1.Sink{{Invocation: someone[1:]}}}, nil, nil, false},
		{"share that does not decode", command.Share, &storedv1.ShareFacts{Result: result}, nil, func(rec []byte) { rec[command.HeaderSize] = 0xff }, false},
		{"read", command.Read, nil, nil, nil, true},
	} {
		b, err := command.Append(nil, command.Header{Kind: row.kind, Frames: 1, ID: someone}, row.facts, row.body)
		if err != nil {
			t.Fatal(err)
		}
		if row.harm != nil {
			row.harm(b)
		}
		rec, err := command.Parse(b)
		if err != nil {
			t.Fatal(row.name, err)
		}
		if err := partition.Check(rec); (err == nil) != row.ok || (err != nil && !errs.Is(err, errs.Invalid)) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

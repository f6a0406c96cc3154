package partitiontest

import (
	"google.golang.org/protobuf/proto"

	servicev1 "reprise/api/service/v1"
	"reprise/pkg/id"
	"reprise/pkg/serviceproto"
)

// Frame returns a frame with m as its payload.
func Frame(t serviceproto.Type, m proto.Message) []byte {
	payload, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return serviceproto.AppendFrame(nil, t, payload)
}

// Input returns the Input frame of an invocation.
func Input(body string) []byte { return serviceproto.AppendInput(nil, nil, []byte(body)) }

// Output returns an Output command with a value.
func Output(value string) []byte {
	return Frame(serviceproto.TypeOutput, &servicev1.OutputCommand{
		Result: &servicev1.OutputCommand_Value{Value: &servicev1.Value{Content: []byte(value)}},
	})
}

// OutputFailure returns an Output command with a failure.
func OutputFailure(code uint32, message string) []byte {
	return Frame(serviceproto.TypeOutput, &servicev1.OutputCommand{
		Result: &servicev1.OutputCommand_Failure{Failure: &servicev1.Failure{Code: code, Message: message}},
	})
}

// End returns the frame that ends an attempt for good.
func End() []byte { return serviceproto.AppendFrame(nil, serviceproto.TypeEnd, nil) }

// Run returns a Run command.
func Run(completion uint32) []byte {
	return Frame(serviceproto.TypeRun, &servicev1.RunCommand{ResultCompletionId: completion})
}

// RunDone returns the completion of a run.
func RunDone(completion uint32, value string) []byte {
	return serviceproto.AppendValue(nil, serviceproto.TypeRunCompletion, completion, []byte(value))
}

// Sleep returns a Sleep command.
func Sleep(completion uint32, due int64) []byte {
	return Frame(serviceproto.TypeSleep, &servicev1.SleepCommand{WakeUpTime: uint64(due), ResultCompletionId: completion})
}

// SetState returns a SetState command.
func SetState(name, value string) []byte {
	return Frame(serviceproto.TypeSetState, &servicev1.SetStateCommand{Key: []byte(name), Value: &servicev1.Value{Content: []byte(value)}})
}

// ClearState returns a ClearState command.
func ClearState(name string) []byte {
	return Frame(serviceproto.TypeClearState, &servicev1.ClearStateCommand{Key: []byte(name)})
}

// ClearAllState returns a ClearAllState command.
func ClearAllState() []byte {
	return Frame(serviceproto.TypeClearAllState, &servicev1.ClearAllStateCommand{})
}

// GetLazyState returns a GetLazyState command.
func GetLazyState(name string, completion uint32) []byte {
	return Frame(serviceproto.TypeGetLazyState, &servicev1.GetLazyStateCommand{Key: []byte(name), ResultCompletionId: completion})
}

// GetLazyStateKeys returns a GetLazyStateKeys command.
func GetLazyStateKeys(completion uint32) []byte {
	return Frame(serviceproto.TypeGetLazyStateKeys, &servicev1.GetLazyStateKeysCommand{ResultCompletionId: completion})
}

// Call returns a Call command; its target does not matter to Apply.
func Call(idCompletion, completion uint32, parameter string) []byte {
	return Frame(serviceproto.TypeCall, &servicev1.CallCommand{
		ServiceName: "S", HandlerName: "h", Parameter: []byte(parameter), InvocationIdNotificationIdx: idCompletion, ResultCompletionId: completion,
	})
}

// OneWayCall returns a OneWayCall command.
func OneWayCall(idCompletion uint32, at int64, parameter string) []byte {
	return Frame(serviceproto.TypeOneWayCall, &servicev1.OneWayCallCommand{
		ServiceName: "S", HandlerName: "h", Parameter: []byte(parameter), InvokeTime: uint64(at), InvocationIdNotificationIdx: idCompletion,
	})
}

// CompleteAwakeable returns a CompleteAwakeable command with a value.
func CompleteAwakeable(awakeable, value string) []byte {
	return Frame(serviceproto.TypeCompleteAwakeable, &servicev1.CompleteAwakeableCommand{
		AwakeableId: awakeable, Result: &servicev1.CompleteAwakeableCommand_Value{Value: &servicev1.Value{Content: []byte(value)}},
	})
}

// RejectAwakeable returns a CompleteAwakeable command with a failure, which has metadata.
func RejectAwakeable(awakeable string, code uint32, message string) []byte {
	return Frame(serviceproto.TypeCompleteAwakeable, &servicev1.CompleteAwakeableCommand{
		AwakeableId: awakeable, Result: &servicev1.CompleteAwakeableCommand_Failure{Failure: failure(code, message)},
	})
}

// OutputFailureWhy returns an Output command with a failure that has metadata.
func OutputFailureWhy(code uint32, message string) []byte {
	return Frame(serviceproto.TypeOutput, &servicev1.OutputCommand{Result: &servicev1.OutputCommand_Failure{Failure: failure(code, message)}})
}

// Suspension returns a Suspension of a version before 7.
func Suspension(completions, signals []uint32) []byte {
	return Frame(serviceproto.TypeSuspension, &servicev1.Suspension{WaitingCompletions: completions, WaitingSignals: signals})
}

// GetPromise returns a GetPromise command.
func GetPromise(name string, completion uint32) []byte {
	return Frame(serviceproto.TypeGetPromise, &servicev1.GetPromiseCommand{Key: name, ResultCompletionId: completion})
}

// PeekPromise returns a PeekPromise command.
func PeekPromise(name string, completion uint32) []byte {
	return Frame(serviceproto.TypePeekPromise, &servicev1.PeekPromiseCommand{Key: name, ResultCompletionId: completion})
}

// ResolvePromise returns a CompletePromise command with a value.
func ResolvePromise(name string, completion uint32, value string) []byte {
	return Frame(serviceproto.TypeCompletePromise, &servicev1.CompletePromiseCommand{
		Key: name, ResultCompletionId: completion,
		Completion: &servicev1.CompletePromiseCommand_CompletionValue{CompletionValue: &servicev1.Value{Content: []byte(value)}},
	})
}

// RejectPromise returns a CompletePromise command with a failure, which has metadata.
func RejectPromise(name string, completion, code uint32, message string) []byte {
	return Frame(serviceproto.TypeCompletePromise, &servicev1.CompletePromiseCommand{
		Key: name, ResultCompletionId: completion,
		Completion: &servicev1.CompletePromiseCommand_CompletionFailure{CompletionFailure: failure(code, message)},
	})
}

func failure(code uint32, message string) *servicev1.Failure {
	return &servicev1.Failure{Code: code, Message: message, Metadata: []*servicev1.FailureMetadata{{Key: "why", Value: message}}}
}

// Attach returns an AttachInvocation command for an id.
func Attach(target id.Invocation, completion uint32) []byte {
	return Frame(serviceproto.TypeAttachInvocation, &servicev1.AttachInvocationCommand{
		ResultCompletionId: completion, Target: &servicev1.AttachInvocationCommand_InvocationId{InvocationId: target.String()},
	})
}

// AttachWorkflow returns an AttachInvocation command for the run of a workflow's key.
func AttachWorkflow(service, key string, completion uint32) []byte {
	return Frame(serviceproto.TypeAttachInvocation, &servicev1.AttachInvocationCommand{
		ResultCompletionId: completion,
		Target: &servicev1.AttachInvocationCommand_WorkflowTarget{
			WorkflowTarget: &servicev1.WorkflowTarget{WorkflowName: service, WorkflowKey: key},
		},
	})
}

// GetOutput returns a GetInvocationOutput command for an id.
func GetOutput(target id.Invocation, completion uint32) []byte {
	return Frame(serviceproto.TypeGetInvocationOutput, &servicev1.GetInvocationOutputCommand{
		ResultCompletionId: completion, Target: &servicev1.GetInvocationOutputCommand_InvocationId{InvocationId: target.String()},
	})
}

// SendSignal returns a SendSignal command by index, with a value.
func SendSignal(target id.Invocation, index uint32, value string) []byte {
	return Frame(serviceproto.TypeSendSignal, &servicev1.SendSignalCommand{
		TargetInvocationId: target.String(), SignalId: &servicev1.SendSignalCommand_Idx{Idx: index},
		Result: &servicev1.SendSignalCommand_Value{Value: &servicev1.Value{Content: []byte(value)}},
	})
}

// SendNamedSignal returns a SendSignal command by name: with a value, or with a failure of that code.
func SendNamedSignal(target id.Invocation, name string, code uint32, value string) []byte {
	c := &servicev1.SendSignalCommand{TargetInvocationId: target.String(), SignalId: &servicev1.SendSignalCommand_Name{Name: name}}
	if code == 0 {
		c.Result = &servicev1.SendSignalCommand_Value{Value: &servicev1.Value{Content: []byte(value)}}
	} else {
		c.Result = &servicev1.SendSignalCommand_Failure{Failure: failure(code, value)}
	}
	return Frame(serviceproto.TypeSendSignal, c)
}

// Cancel returns the SendSignal command that cancels an invocation.
func Cancel(target id.Invocation) []byte {
	return Frame(serviceproto.TypeSendSignal, &servicev1.SendSignalCommand{
		TargetInvocationId: target.String(), SignalId: &servicev1.SendSignalCommand_Idx{Idx: serviceproto.SignalCancel},
		Result: &servicev1.SendSignalCommand_Void{Void: &servicev1.Void{}},
	})
}

// SuspensionOnNames returns a Suspension of a version before 7 that waits for named signals too.
func SuspensionOnNames(completions, signals []uint32, names ...string) []byte {
	return Frame(serviceproto.TypeSuspension, &servicev1.Suspension{
		WaitingCompletions: completions, WaitingSignals: signals, WaitingNamedSignals: names,
	})
}

// SuspensionTree returns a Suspension of version 7.
func SuspensionTree(tree *servicev1.Future) []byte {
	return Frame(serviceproto.TypeSuspension, &servicev1.Suspension{AwaitingOn: tree})
}

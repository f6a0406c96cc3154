package serviceproto

import "fmt"

// Type is the type number of a frame.
type Type uint16

// Control messages.
const (
	TypeStart                   Type = 0x0000
	TypeSuspension              Type = 0x0001
	TypeError                   Type = 0x0002
	TypeEnd                     Type = 0x0003
	TypeCommandAck              Type = 0x0004
	TypeProposeRunCompletion    Type = 0x0005
	TypeAwaitingOn              Type = 0x0006
	TypeProposeRunCompletionAck Type = 0x0007
)

// Commands.
const (
	TypeInput               Type = 0x0400
	TypeOutput              Type = 0x0401
	TypeGetLazyState        Type = 0x0402
	TypeSetState            Type = 0x0403
	TypeClearState          Type = 0x0404
	TypeClearAllState       Type = 0x0405
	TypeGetLazyStateKeys    Type = 0x0406
	TypeGetEagerState       Type = 0x0407
	TypeGetEagerStateKeys   Type = 0x0408
	TypeGetPromise          Type = 0x0409
	TypePeekPromise         Type = 0x040A
	TypeCompletePromise     Type = 0x040B
	TypeSleep               Type = 0x040C
	TypeCall                Type = 0x040D
	TypeOneWayCall          Type = 0x040E
	TypeSendSignal          Type = 0x0410
	TypeRun                 Type = 0x0411
	TypeAttachInvocation    Type = 0x0412
	TypeGetInvocationOutput Type = 0x0413
	TypeCompleteAwakeable   Type = 0x0414
)

// Notifications. The lower byte is that of the command that is completed.
const (
	TypeGetLazyStateCompletion        Type = 0x8002
	TypeGetLazyStateKeysCompletion    Type = 0x8006
	TypeGetPromiseCompletion          Type = 0x8009
	TypePeekPromiseCompletion         Type = 0x800A
	TypeCompletePromiseCompletion     Type = 0x800B
	TypeSleepCompletion               Type = 0x800C
	TypeCallCompletion                Type = 0x800D
	TypeCallInvocationIDCompletion    Type = 0x800E
	TypeRunCompletion                 Type = 0x8011
	TypeAttachInvocationCompletion    Type = 0x8012
	TypeGetInvocationOutputCompletion Type = 0x8013
	TypeSignalNotification            Type = 0xFBFF
)

const (
	firstCommand      Type = 0x0400
	firstNotification Type = 0x8000
	firstCustom       Type = 0xFC00 // defined on paper; nobody sends them
)

// SignalCancel is the index of the signal that cancels an invocation.
const SignalCancel = 1

// FirstAwakeable is the lowest signal index that SDKs give to awakeables. They are resolved once; signals
// below it, and those by name, may come again.
const FirstAwakeable = 17

// IsControl tells whether t is in the range of control messages.
func (t Type) IsControl() bool { return t < firstCommand }

// IsCommand tells whether t is in the range of commands.
func (t Type) IsCommand() bool { return t >= firstCommand && t < firstNotification }

// IsNotification tells whether t is in the range of notifications.
func (t Type) IsNotification() bool { return t >= firstNotification && t < firstCustom }

// Known tells whether the protocol has t.
func (t Type) Known() bool { return t.name() != "" }

// String returns the name of the message: "Run".
func (t Type) String() string {
	if n := t.name(); n != "" {
		return n
	}
	return fmt.Sprintf("Type(0x%04x)", uint16(t))
}

func (t Type) name() string {
	switch {
	case t.IsControl():
		return nameAt(controlNames[:], t)
	case t.IsCommand():
		return nameAt(commandNames[:], t-firstCommand)
	case t == TypeSignalNotification:
		return "SignalNotification"
	case t.IsNotification():
		return nameAt(notificationNames[:], t-firstNotification)
	default:
		return ""
	}
}

func nameAt(names []string, i Type) string {
	if int(i) < len(names) {
		return names[i]
	}
	return ""
}

var controlNames = [...]string{
	"Start", "Suspension", "Error", "End", "CommandAck", "ProposeRunCompletion", "AwaitingOn", "ProposeRunCompletionAck",
}

var commandNames = [...]string{
	0x00: "Input", 0x01: "Output", 0x02: "GetLazyState", 0x03: "SetState", 0x04: "ClearState", 0x05: "ClearAllState",
	0x06: "GetLazyStateKeys", 0x07: "GetEagerState", 0x08: "GetEagerStateKeys", 0x09: "GetPromise", 0x0A: "PeekPromise",
	0x0B: "CompletePromise", 0x0C: "Sleep", 0x0D: "Call", 0x0E: "OneWayCall", 0x10: "SendSignal", 0x11: "Run",
	0x12: "AttachInvocation", 0x13: "GetInvocationOutput", 0x14: "CompleteAwakeable",
}

var notificationNames = [...]string{
	0x02: "GetLazyStateCompletion", 0x06: "GetLazyStateKeysCompletion", 0x09: "GetPromiseCompletion",
	0x0A: "PeekPromiseCompletion", 0x0B: "CompletePromiseCompletion", 0x0C: "SleepCompletion", 0x0D: "CallCompletion",
	0x0E: "CallInvocationIdCompletion", 0x11: "RunCompletion", 0x12: "AttachInvocationCompletion",
	0x13: "GetInvocationOutputCompletion",
}

package serviceproto

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// shape is what a message may look like: its fields by number. The zero kind is an unknown field,
// which is skipped.
type shape [maxField + 1]field

const maxField = 17

// field describes one field of a message.
type field struct {
	kind kind
	// once has the bits of the fields that this one excludes: itself, and the rest of its oneof.
	// It is zero for a repeated field.
	once fieldSet
	sub  *shape // of a message
}

// fieldSet has a bit for each field number.
type fieldSet uint32

func set(nums ...uint) (s fieldSet) {
	for _, n := range nums {
		s |= 1 << n
	}
	return s
}

func (s fieldSet) hasAny(o fieldSet) bool { return s&o != 0 }

type kind uint8

const (
	kindUnknown kind = iota
	kindUint         // any varint
	kindBytes
	kindText // valid UTF-8
	kindMessage
)

// check reads b as a message of the shape, with all that is nested in it, and returns which fields
// it has. reason is empty if b is well formed.
func (s *shape) check(b []byte) (seen fieldSet, reason string) {
	r := reader{b: b}
	for r.next() {
		if r.num > maxField || s[r.num].kind == kindUnknown {
			continue
		}
		f := &s[r.num]
		if seen.hasAny(f.once) {
			return seen, fmt.Sprintf("field %d is given twice, or beside another that excludes it", r.num)
		}
		seen |= 1 << uint(r.num)
		switch {
		case f.kind == kindUint && r.typ == protowire.VarintType:
		case f.kind == kindBytes && r.typ == protowire.BytesType:
		case f.kind == kindText && r.typ == protowire.BytesType:
			if !utf8.Valid(r.bytes) {
				return seen, fmt.Sprintf("the text of field %d is not UTF-8", r.num)
			}
		case f.kind == kindMessage && r.typ == protowire.BytesType:
			if _, reason = f.sub.check(r.bytes); reason != "" {
				return seen, fmt.Sprintf("in field %d: %s", r.num, reason)
			}
		default:
			return seen, fmt.Sprintf("field %d has the wrong wire type", r.num)
		}
	}
	if r.bad {
		return seen, "it is not well-formed protobuf"
	}
	return seen, ""
}

// Constructors of table entries. Each takes its own number, since a singular field excludes itself;
// oneof members name the others too.

func uintField(nums ...uint) field  { return field{kind: kindUint, once: set(nums...)} }
func bytesField(nums ...uint) field { return field{kind: kindBytes, once: set(nums...)} }
func textField(nums ...uint) field  { return field{kind: kindText, once: set(nums...)} }
func subField(sub *shape, nums ...uint) field {
	return field{kind: kindMessage, once: set(nums...), sub: sub}
}

// Nested messages.
var (
	voidShape    = shape{}
	valueShape   = shape{1: bytesField(1)}
	headerShape  = shape{1: textField(1), 2: textField(2)}
	keysShape    = shape{1: textField()} // state keys are bytes on the wire and UTF-8 by rule
	failureShape = shape{1: uintField(1), 2: textField(2), 3: subField(&headerShape)}

	workflowTargetShape   = shape{1: textField(1), 2: textField(2), 3: textField(3)}
	idempotentTargetShape = shape{1: textField(1), 2: textField(2), 3: textField(3), 4: textField(4), 5: textField(5)}
)

// Messages of their own.
var (
	proposalShape = shape{1: uintField(1), 14: bytesField(14, 15), 15: subField(&failureShape, 14, 15)}
	errorShape    = shape{
		1: uintField(1), 2: textField(2), 3: textField(3), 4: uintField(4), 5: textField(5), 6: uintField(6),
		8: uintField(8), 9: uintField(9),
	}
)

// Commands. Field 12 is the label of each.
var (
	outputShape            = shape{12: textField(12), 14: subField(&valueShape, 14, 15), 15: subField(&failureShape, 14, 15)}
	keyAndCompletionShape  = shape{1: textField(1), 11: uintField(11), 12: textField(12)} // state keys and promise names alike
	setStateShape          = shape{1: textField(1), 3: subField(&valueShape, 3), 12: textField(12)}
	completionShape        = shape{11: uintField(11), 12: textField(12)}
	getEagerStateShape     = shape{1: textField(1), 12: textField(12), 13: subField(&voidShape, 13, 14), 14: subField(&valueShape, 13, 14)}
	getEagerStateKeysShape = shape{12: textField(12), 14: subField(&keysShape, 14)}
	completePromiseShape   = shape{
		1: textField(1), 2: subField(&valueShape, 2, 3), 3: subField(&failureShape, 2, 3), 11: uintField(11), 12: textField(12),
	}
	sleepShape = shape{1: uintField(1), 11: uintField(11), 12: textField(12)}
	callShape  = shape{
		1: textField(1), 2: textField(2), 3: bytesField(3), 4: subField(&headerShape), 5: textField(5), 6: textField(6),
		7: textField(7), 8: textField(8), 10: uintField(10), 11: uintField(11), 12: textField(12),
	}
	oneWayCallShape = shape{
		1: textField(1), 2: textField(2), 3: bytesField(3), 4: uintField(4), 5: subField(&headerShape), 6: textField(6),
		7: textField(7), 8: textField(8), 9: textField(9), 10: uintField(10), 12: textField(12),
	}
	sendSignalShape = shape{
		1: textField(1), 2: uintField(2, 3), 3: textField(2, 3), 4: subField(&voidShape, 4, 5, 6),
		5: subField(&valueShape, 4, 5, 6), 6: subField(&failureShape, 4, 5, 6), 12: textField(12),
	}
	attachShape = shape{
		1: textField(1, 3, 4), 3: subField(&idempotentTargetShape, 1, 3, 4), 4: subField(&workflowTargetShape, 1, 3, 4),
		11: uintField(11), 12: textField(12),
	}
	completeAwakeableShape = shape{1: textField(1), 2: subField(&valueShape, 2, 3), 3: subField(&failureShape, 2, 3), 12: textField(12)}
)

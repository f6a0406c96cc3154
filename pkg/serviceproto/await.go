package serviceproto

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"reprise/pkg/errs"
	"reprise/pkg/journal"
)

// MaxAwaitDepth is how deep an await tree may be that is stored; the root is at depth 1. A deeper one
// pauses the invocation (RT0025), as one does that is deeper than configured.
const MaxAwaitDepth = 10_000

// Resolved tells how notifications that are stored resolve an await; 0 is pending.
type Resolved interface {
	Completion(id uint32) journal.Outcome
	Signal(index uint32) journal.Outcome
	NamedSignal(name string) journal.Outcome
}

// Await is what a suspended invocation waits for. It borrows the payload it was parsed from and is
// evaluated on it: nothing is decoded into memory.
type Await struct {
	payload []byte
	version uint32
	depth   int
}

// Once shows of res what comes once: completions and awakeables, not the signals that may come again.
type Once struct{ Resolved }

// Signal hides those that may come again.
func (o Once) Signal(index uint32) journal.Outcome {
	if index < FirstAwakeable {
		return 0
	}
	return o.Resolved.Signal(index)
}

// NamedSignal hides them all.
func (Once) NamedSignal(string) journal.Outcome { return 0 }

// ParseSuspension checks a Suspension payload wholly. The error is a *ProtocolError: RT0012 for one
// that waits for nothing, RT0025 for a tree that is too deep.
func ParseSuspension(payload []byte, version uint32) (Await, error) {
	a := Await{payload: payload, version: version, depth: 1}
	if version < 7 {
		c := futureCheck{}
		if c.node(payload, 1, false); c.reason == "" && !c.found {
			c.reason = nothingAwaited
		}
		return a, c.err(TypeSuspension)
	}
	c := futureCheck{}
	seen := c.root(payload, 4)
	if !seen && c.reason == "" {
		c.reason = nothingAwaited
	}
	a.depth = c.depth
	return a, c.err(TypeSuspension)
}

// ParseAwaitingOn checks an AwaitingOn payload and tells what the handler is blocked on.
func ParseAwaitingOn(payload []byte) (a Await, executingSideEffects bool, err error) {
	c := futureCheck{}
	if seen := c.root(payload, 1); !seen && c.reason == "" {
		c.reason = nothingAwaited
	}
	r := reader{b: payload}
	for r.next() {
		if r.num == 2 {
			executingSideEffects = r.uint64() != 0
		}
	}
	if r.bad && c.reason == "" {
		c.reason = malformedFuture
	}
	return Await{payload: payload, version: awaitingOn, depth: c.depth}, executingSideEffects, c.err(TypeAwaitingOn)
}

// awaitingOn stands for a version where the tree is field 1, as in AwaitingOn.
const awaitingOn = 0

// Depth is the depth of the tree, 1 for versions without trees.
func (a Await) Depth() int { return a.depth }

// Within refuses a tree that is deeper than max (RT0025).
func (a Await) Within(max int) error {
	if a.depth <= max {
		return nil
	}
	if a.version == awaitingOn {
		return tooDeep(TypeAwaitingOn, max)
	}
	return tooDeep(TypeSuspension, max)
}

func tooDeep(t Type, max int) error {
	return docError(DocAwaitTooDeep, "%s: its await tree is deeper than %d", t, max)
}

// AppendStored appends the form that is stored while an invocation is suspended: the version and the payload.
func (a Await) AppendStored(dst []byte) []byte {
	return append(append(dst, byte(a.version)), a.payload...)
}

// StoredAwait reads the stored form, borrowed. It was checked before it was stored.
func StoredAwait(b []byte) (Await, error) {
	if len(b) == 0 {
		return Await{}, errs.Newf(errs.Corrupt, "stored await is empty")
	}
	a, err := ParseSuspension(b[1:], uint32(b[0]))
	if err != nil {
		return Await{}, errs.Newf(errs.Corrupt, "stored await: %w", err)
	}
	return a, nil
}

// Satisfied tells whether the invocation has to go on.
func (a Await) Satisfied(res Resolved) bool {
	if a.version != awaitingOn && a.version < 7 {
		return anyLeaf(a.payload, res)
	}
	num := protowire.Number(4)
	if a.version == awaitingOn {
		num = 1
	}
	r := reader{b: a.payload}
	for r.next() {
		if r.num == num {
			return eval(r.bytes, res) != pending
		}
	}
	return false
}

// Fields of a Future. The first three are also those of a Suspension before version 7.
const (
	waitingCompletions  protowire.Number = 1
	waitingSignals      protowire.Number = 2
	waitingNamedSignals protowire.Number = 3
	nestedFutures       protowire.Number = 4
	combinatorType      protowire.Number = 5
)

const (
	unknownCombinator         = 0
	firstCompleted            = 1
	allCompleted              = 2
	firstSucceededOrAllFailed = 3
	allSucceededOrFirstFailed = 4
	highestCombinator         = allSucceededOrFirstFailed
	nothingAwaited            = "it waits for nothing"
	treeTooDeep               = "await tree is too deep"
	fieldTwice                = "a field is given twice"
	unknownFutureKind         = "its combinator is not known"
	signalNameNotText         = "the name of a signal is not UTF-8"
	malformedFuture           = "it is not well-formed protobuf"
)

// futureCheck checks a tree without building it.
type futureCheck struct {
	reason string
	depth  int
	found  bool // an id, in the node that was checked last
}

func (c *futureCheck) err(t Type) error {
	switch c.reason {
	case "":
		return nil
	case treeTooDeep:
		return tooDeep(t, MaxAwaitDepth)
	default:
		return violation("%s: %s", t, c.reason)
	}
}

// root checks the tree that is field num of the payload and tells whether it is there.
func (c *futureCheck) root(payload []byte, num protowire.Number) (seen bool) {
	r := reader{b: payload}
	for r.next() && c.reason == "" {
		if r.num != num {
			continue
		}
		if seen {
			c.reason = fieldTwice
		} else if b := r.raw(); !r.bad {
			c.node(b, 1, true)
		}
		seen = true
	}
	if r.bad && c.reason == "" {
		c.reason = malformedFuture
	}
	return seen
}

// node checks one node with all below it. Only a future has nested ones and a combinator.
func (c *futureCheck) node(b []byte, depth int, future bool) {
	c.depth = max(c.depth, depth)
	found, combinators := false, 0
	r := reader{b: b}
	for r.next() && c.reason == "" {
		switch {
		case r.num == waitingCompletions || r.num == waitingSignals:
			n, ok := countUints(&r)
			found = found || n > 0
			r.bad = r.bad || !ok
		case r.num == waitingNamedSignals:
			if !utf8.Valid(r.raw()) {
				c.reason = signalNameNotText
			}
			found = true
		case future && r.num == nestedFutures:
			if depth == MaxAwaitDepth {
				c.reason = treeTooDeep
				return
			}
			if sub := r.raw(); !r.bad {
				c.node(sub, depth+1, true)
			}
			found = true // a node without any is refused itself
		case future && r.num == combinatorType:
			if combinators++; combinators > 1 {
				c.reason = fieldTwice
			} else if r.uint64() > highestCombinator {
				c.reason = unknownFutureKind
			}
		default:
		}
	}
	switch {
	case c.reason != "":
	case r.bad:
		c.reason = malformedFuture
	case !found && future:
		c.reason = nothingAwaited
	}
	c.found = found
}

// countUints counts the values of a repeated integer field, packed or not.
func countUints(r *reader) (n int, ok bool) {
	if r.typ == protowire.VarintType {
		return 1, true
	}
	for b := r.raw(); len(b) > 0 && !r.bad; n++ {
		_, size := protowire.ConsumeVarint(b)
		if size < 0 {
			return n, false
		}
		b = b[size:]
	}
	return n, !r.bad
}

// anyLeaf evaluates the flat form: any one id is enough.
func anyLeaf(b []byte, res Resolved) bool {
	e := evaluation{res: res, combinator: firstCompleted}
	e.leaves(b)
	return e.done
}

// result of a node. A node that completed, but may have succeeded or failed, is undetermined.
type result uint8

const (
	pending result = iota
	succeeded
	failed
	undetermined
)

// evaluation folds the children of one node, in order: completions, signals, names, nested nodes.
type evaluation struct {
	res        Resolved
	combinator uint64

	done  bool // the result cannot change any more
	first result

	anyPending, anySucceeded, anyFailed, anyUndetermined bool
}

// eval evaluates a node that was checked.
func eval(b []byte, res Resolved) result {
	e := evaluation{res: res}
	r := reader{b: b}
	for r.next() {
		if r.num == combinatorType {
			e.combinator = r.value
		}
	}
	e.leaves(b)
	r = reader{b: b}
	for !e.done && r.next() {
		if r.num == nestedFutures {
			e.child(eval(r.bytes, res))
		}
	}
	return e.result()
}

func (e *evaluation) leaves(b []byte) {
	for _, num := range [...]protowire.Number{waitingCompletions, waitingSignals, waitingNamedSignals} {
		r := reader{b: b}
		for !e.done && r.next() {
			if r.num == num {
				e.leaf(&r)
			}
		}
	}
}

func (e *evaluation) leaf(r *reader) {
	if r.num == waitingNamedSignals {
		e.child(resultOf(e.res.NamedSignal(string(r.bytes))))
		return
	}
	if r.typ == protowire.VarintType {
		e.id(r.num, r.uint32())
		return
	}
	for b := r.bytes; len(b) > 0 && !e.done; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return // checked before
		}
		b = b[n:]
		e.id(r.num, uint32(v))
	}
}

func (e *evaluation) id(num protowire.Number, id uint32) {
	if num == waitingCompletions {
		e.child(resultOf(e.res.Completion(id)))
		return
	}
	e.child(resultOf(e.res.Signal(id)))
}

func resultOf(o journal.Outcome) result {
	switch o {
	case journal.Success:
		return succeeded
	case journal.Failed:
		return failed
	default:
		return pending
	}
}

// child takes the next child into account.
func (e *evaluation) child(r result) {
	switch r {
	case pending:
		e.anyPending = true
	case succeeded:
		e.anySucceeded = true
	case failed:
		e.anyFailed = true
	default:
		e.anyUndetermined = true
	}
	if e.first == pending {
		e.first = r
	}
	switch e.combinator {
	case allCompleted:
		e.done = e.anyPending
	case firstSucceededOrAllFailed:
		e.done = e.anySucceeded
	case allSucceededOrFirstFailed:
		e.done = e.anyFailed
	default:
		e.done = e.first != pending
	}
}

// result of the node. Where an undetermined child leaves open whether the node completed, the answer
// is undetermined, not pending: the invocation goes on and the SDK decides.
func (e *evaluation) result() result {
	switch e.combinator {
	case firstCompleted:
		return e.first
	case allCompleted:
		return pendingUnless(!e.anyPending, succeeded)
	case firstSucceededOrAllFailed:
		return e.decide(e.anySucceeded, succeeded, failed)
	case allSucceededOrFirstFailed:
		return e.decide(e.anyFailed, failed, succeeded)
	default:
		return pendingUnless(e.first != pending, undetermined)
	}
}

func (e *evaluation) decide(early bool, then, atEnd result) result {
	switch {
	case early:
		return then
	case e.anyUndetermined:
		return undetermined
	case e.anyPending:
		return pending
	default:
		return atEnd
	}
}

func pendingUnless(cond bool, r result) result {
	if cond {
		return r
	}
	return pending
}

// Package partition is the state machine of a partition: Apply folds committed commands into rows.
//
// Apply is pure: it reads rows, the command and constants, nothing else. Effects are hints for the
// leader to act on after the batch was stored; Pending rebuilds them from rows.
//
//	effects, err := partition.Apply(view, record, effects[:0])
//
// What a command does stands in apply_<command>.go. What commands share: admit.go (who may run),
// notify.go (an entry for a journal, and who wakes), complete.go (the end of an invocation), route.go
// (what is done in place and what goes through the outbox), step.go (the row that a Step becomes).
package partition

// Package partition is the state machine of a partition: Apply folds committed commands into rows.
//
// Apply is pure: it reads rows, the command and constants, nothing else. Effects are hints for the
// leader to act on after the batch was stored; Pending rebuilds them from rows.
package partition

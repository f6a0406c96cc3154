// Package invocation is the life of one invocation: its row, decoded, with what is derived from its journal.
package invocation

// Package partitiontest has a State in memory, and what tests need to write commands in few words.
package partitiontest

// Package retry says when the next attempt of an invocation is due, if there is one.
package retry

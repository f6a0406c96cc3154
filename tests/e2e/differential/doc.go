// Package differential makes the same calls to the reference server and to ours, and tells where the answers
// differ. What differs on purpose is listed with its reason in known_test.go.
package differential

// Package lifecycle starts and stops the parts of a role and owns every goroutine.
//
// It is the only place with the go keyword.
package lifecycle

// Package errs has the codes that tell a caller what it may do next.
package errs

package errs

import (
	"errors"
	"fmt"
	"io"
)

// Code tells the caller what it may do next, not where the error came from.
// Numbers cross the wire and are never reused; 0 means that someone forgot.
type Code uint8

// The codes.
const (
	Internal    Code = 1  // we are wrong; do not retry
	Invalid     Code = 2  // the request is wrong; do not retry
	NotFound    Code = 3  // the named thing does not exist
	Conflict    Code = 4  // a precondition failed; read again first
	Unavailable Code = 5  // nothing happened; retry with backoff
	Uncertain   Code = 6  // it may have happened; retry with the same id only
	NotLeader   Code = 7  // retry where the hint points
	Fenced      Code = 8  // a newer epoch rules; stop
	Corrupt     Code = 9  // stored bytes are wrong; halt this store
	Unsupported Code = 10 // newer than this binary; upgrade first
)

var names = [...]string{"", "internal", "invalid", "not found", "conflict", "unavailable", "uncertain", "not leader", "fenced", "corrupt", "unsupported"}

// String returns the word for the code.
func (c Code) String() string {
	if int(c) < len(names) && c != 0 {
		return names[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

type coded struct {
	code Code
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

// Newf returns an error with a code.
func Newf(c Code, format string, args ...any) error {
	return &coded{code: c, err: fmt.Errorf(format, args...)}
}

// With gives err a code; nil stays nil.
func With(c Code, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code: c, err: err}
}

// CodeOf returns the outermost code of err, or Internal if it has none.
func CodeOf(err error) Code {
	var e *coded
	if errors.As(err, &e) {
		return e.code
	}
	return Internal
}

// Is tells whether err has the code.
func Is(err error, c Code) bool { return err != nil && CodeOf(err) == c }

// CloseInto closes c and keeps its error if there is none yet.
func CloseInto(err *error, c io.Closer) {
	if cerr := c.Close(); *err == nil && cerr != nil {
		*err = cerr
	}
}

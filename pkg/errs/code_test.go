package errs_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"reprise/pkg/errs"
)

func TestCodesSurviveWrapping(t *testing.T) {
	err := fmt.Errorf("append 1@2: %w", errs.Newf(errs.Fenced, "epoch %d", 3))
	if !errs.Is(err, errs.Fenced) || errs.CodeOf(err) != errs.Fenced {
		t.Errorf("code of %v is %v", err, errs.CodeOf(err))
	}
	if got := errs.CodeOf(io.EOF); got != errs.Internal {
		t.Errorf("an error without a code is %v", got)
	}
	if errs.With(errs.Invalid, nil) != nil || errs.Is(nil, errs.Internal) {
		t.Error("nil is no error")
	}
	if err := errs.With(errs.Unavailable, io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("%v hides its cause", err)
	}
}

func TestEveryCodeHasAWord(t *testing.T) {
	seen := map[string]bool{}
	for c := errs.Internal; c <= errs.Unsupported; c++ {
		if seen[c.String()] || c.String() == "" {
			t.Errorf("code %d is %q", uint8(c), c)
		}
		seen[c.String()] = true
	}
	if got := errs.Code(0).String(); got != "code(0)" {
		t.Errorf("the forgotten code is %q", got)
	}
}

type closer struct{ err error }

func (c closer) Close() error { return c.err }

func TestCloseIntoKeepsTheFirstError(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	err := first
	errs.CloseInto(&err, closer{second})
	if err != first {
		t.Errorf("got %v", err)
	}
	err = nil
	errs.CloseInto(&err, closer{second})
	if err != second {
		t.Errorf("got %v", err)
	}
}

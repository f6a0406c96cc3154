package schema

import (
	"errors"
	"fmt"
)

// What a lookup may lack.
var (
	ErrUnknownService = errors.New("unknown service")
	ErrUnknownHandler = errors.New("unknown handler")
)

// Error refuses a change of the schema in the terms of the admin API.
type Error struct {
	Code    string // META0006, or "" if there is none
	Status  int    // of HTTP
	Message string // without the code, but for discovery errors, whose text has it too
}

func (e *Error) Error() string { return e.Message }

// The statuses that are used here.
const (
	statusBadRequest = 400
	statusNotFound   = 404
	statusConflict   = 409
	statusInternal   = 500 // also of a bad answer of an endpoint
)

// The codes of the rules.
const (
	codeReservedName = "META0005"
	codeTypeChanged  = "META0006"
	codeVersions     = "META0012"
	codeManifest     = "META0013"
)

// Notices that go with a deployment or a service.
const (
	noticeInactivity = "RT0021"
	noticeClamped    = "RT0022"
)

func invalid(format string, args ...any) *Error {
	return &Error{Status: statusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *Error {
	return &Error{Status: statusNotFound, Message: fmt.Sprintf(format, args...)}
}

// badAnswer is what an endpoint should not have answered to a discovery.
func badAnswer(code, format string, args ...any) *Error {
	return &Error{Code: code, Status: statusInternal, Message: "[" + code + "] " + fmt.Sprintf(format, args...)}
}

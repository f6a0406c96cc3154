package admin

import (
	"errors"
	"fmt"
	"net/http"

	"reprise/pkg/errs"
	"reprise/pkg/schema"
)

const (
	contentTypeJSON = "application/json"
	contentTypeText = "text/plain; charset=utf-8"
)

// misshapen begins the text of 422.
const misshapen = "Failed to deserialize the JSON body into the target type: "

// answer is an error as the client sees it.
type answer struct {
	status int
	code   string // META or RT code; "" is written as null
	text   string
	form   form
}

// form is how the body of an answer is written.
type form uint8

const (
	formJSON  form = iota // {"message", "restate_code"}: the engine refuses
	formText              // plain text: the request does not fit the route
	formEmpty             // no body
)

func (a *answer) Error() string { return a.text }

// refuse is an answer of the engine itself.
func refuse(status int, format string, args ...any) error {
	return &answer{status: status, text: fmt.Sprintf(format, args...)}
}

// misfit is an answer of the HTTP layer.
func misfit(status int, format string, args ...any) *answer {
	return &answer{status: status, text: fmt.Sprintf(format, args...), form: formText}
}

// answerOf finds the answer for any error. Unknown ones are faults of ours or of what we depend on.
func answerOf(err error) *answer {
	var a *answer
	if errors.As(err, &a) {
		return a
	}
	var s *schema.Error
	if errors.As(err, &s) && s.Status == http.StatusUnprocessableEntity {
		return misfit(s.Status, "%s%s", misshapen, s.Message) // what is wrong is the form of the request
	}
	if s != nil {
		return &answer{status: s.Status, code: s.Code, text: s.Error()}
	}
	a = &answer{status: http.StatusInternalServerError, text: err.Error()}
	switch errs.CodeOf(err) {
	case errs.Invalid:
		a.status = http.StatusBadRequest
	case errs.NotFound:
		a.status = http.StatusNotFound
	case errs.Conflict:
		a.status = http.StatusConflict
	case errs.Unavailable, errs.Uncertain, errs.NotLeader:
		a.status = http.StatusServiceUnavailable
	}
	return a
}

// write sends the answer.
func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Del("Content-Type")
	switch a.form {
	case formEmpty:
		h.Del("Vary") // nothing varies
		w.WriteHeader(a.status)
		return
	case formText:
		h.Set("Content-Type", contentTypeText)
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.text)) // the client went away
		return
	}
	h.Set("Content-Type", contentTypeJSON)
	w.WriteHeader(a.status)
	text := a.text
	code := []byte("null")
	if a.code != "" {
		text = "[" + a.code + "] " + text
		code = appendString(nil, a.code)
	}
	b := appendString([]byte(`{"message":`), text)
	b = append(append(append(b, `,"restate_code":`...), code...), '}')
	_, _ = w.Write(b) // the client went away
}

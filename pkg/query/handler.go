package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"reprise/pkg/query/pipe"
	"reprise/pkg/query/render"
)

// Content types of answers.
const (
	typeJSON  = "application/json"
	typeText  = "text/plain; charset=utf-8"
	typeArrow = "application/vnd.apache.arrow.stream"
)

// bodyBytesMax is the largest request that is read.
const bodyBytesMax = 2 << 20

// ServeHTTP answers POST /query.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	sql, status, problem := statementOf(w, r)
	if problem != "" {
		w.Header().Set("Content-Type", typeText)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, problem) // the client went away
		return
	}
	if ok, seconds := e.bucket.take(); !ok {
		e.metrics.limited.Inc()
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		refuse(w, pipe.Failuref(http.StatusTooManyRequests, "Rate limited"))
		return
	}
	rows, err := e.Query(r.Context(), sql)
	if err != nil {
		refuse(w, err)
		return
	}
	defer func() { _ = rows.Close() }() // only read
	out := http.NewResponseController(w)
	// Exactly this and no other spelling asks for JSON: clients rely on it.
	asJSON := r.Header.Get("Accept") == typeJSON
	w.Header().Set("Content-Type", typeArrow)
	if asJSON {
		w.Header().Set("Content-Type", typeJSON)
		err = render.JSON(w, rows, out.Flush)
	} else {
		_, err = io.Copy(w, rows)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // what was sent must not look whole
	}
}

// statementOf reads the request; problem says what is wrong with it.
func statementOf(w http.ResponseWriter, r *http.Request) (sql string, status int, problem string) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	sub, ok := strings.CutPrefix(kind, "application/")
	if err != nil || !ok || sub != "json" && !strings.HasSuffix(sub, "+json") {
		return "", http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`"
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", http.StatusRequestEntityTooLarge, "Failed to buffer the request body: length limit exceeded"
	case err != nil:
		return "", http.StatusBadRequest, fmt.Sprintf("Failed to buffer the request body: %s", err)
	}
	var body struct {
		Query *string `json:"query"`
	}
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(data, &body); {
	case errors.As(err, &syntax):
		return "", http.StatusBadRequest, fmt.Sprintf("Failed to parse the request body as JSON: %s", err)
	case err != nil:
		return "", http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: query: invalid type, expected a string"
	case body.Query == nil:
		return "", http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: missing field `query`"
	}
	return *body.Query, 0, ""
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, err error) {
	var failed *pipe.Failure
	if !errors.As(err, &failed) { // the client went away, or this process stops
		failed = pipe.Failuref(http.StatusServiceUnavailable, "%v", err)
	}
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(failed.Status)
	_, _ = w.Write(append(render.String([]byte(`{"message":`), failed.Message), '}')) // the client went away
}

// Unavailable answers in place of an Engine.
func Unavailable() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, pipe.Failuref(http.StatusServiceUnavailable, "Query service not available"))
	})
}

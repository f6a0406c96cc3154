package schema

import (
	"errors"
	"fmt"
	"strings"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/retry"
)

// Handler is a handler of a service, with its options resolved.
type Handler struct {
	Service *Service
	Name    string
	Type    storedv1.HandlerType
	Public  bool // as far as the handler is concerned; its service must be, too
	Stored  *storedv1.Handler

	Inactivity, Abort                                         time.Duration
	JournalRetention, IdempotencyRetention, WorkflowRetention time.Duration
	LazyState                                                 bool
	Retry                                                     retry.Policy

	unkeyed storedv1.Target // shared by all invocations of a plain service's handler
	input   []inputRule
	output  outputRule
}

func newHandler(s *Service, stored *storedv1.Handler, o options) *Handler {
	h := &Handler{
		Service: s, Name: stored.GetName(), Type: stored.GetType(), Public: o.public, Stored: stored,
		Inactivity: o.inactivity, Abort: o.abort,
		JournalRetention: o.journal, IdempotencyRetention: o.idempotency, WorkflowRetention: o.workflow,
		LazyState: o.lazy, Retry: o.retry,
		input: inputRules(stored.Input), output: newOutputRule(stored.Output),
	}
	h.unkeyed.Service, h.unkeyed.Handler = s.Name, h.Name
	h.unkeyed.ServiceType, h.unkeyed.HandlerType = s.Type, h.Type
	return h
}

// Target names an invocation of the handler. The key of a plain service's is ignored. The message is
// shared: it must not be changed.
func (h *Handler) Target(key string) *storedv1.Target {
	if !h.Keyed() {
		return &h.unkeyed
	}
	return &storedv1.Target{
		Service: h.Service.Name, Handler: h.Name, Key: key, ServiceType: h.Service.Type, HandlerType: h.Type,
	}
}

// Keyed tells whether invocations have a key.
func (h *Handler) Keyed() bool {
	switch h.Service.Type {
	case storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT, storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:
		return true
	default:
		return false
	}
}

// IsWorkflowRun tells whether the handler runs once for a key.
func (h *Handler) IsWorkflowRun() bool { return h.Type == storedv1.HandlerType_HANDLER_TYPE_WORKFLOW }

// Retentions returns how long the result and the journal of an invocation are kept after it
// completed. idempotent tells whether it has an idempotency key.
func (h *Handler) Retentions(idempotent bool) (completion, journal time.Duration) {
	switch {
	case h.IsWorkflowRun():
		return h.WorkflowRetention, min(h.JournalRetention, h.WorkflowRetention)
	case idempotent:
		return h.IdempotencyRetention, min(h.JournalRetention, h.IdempotencyRetention)
	default:
		return h.JournalRetention, h.JournalRetention
	}
}

// inputRule is one way for a request to be accepted.
type inputRule struct {
	empty   bool // no body and no content-type; else a content-type that matches
	body    bool // and a body that is not empty
	pattern mediaType
}

// mediaType is a type, perhaps with wildcards, without parameters.
type mediaType struct{ kind, sub string }

func parseMediaType(s string) (m mediaType, ok bool) {
	s, _, _ = strings.Cut(s, ";")
	m.kind, m.sub, ok = strings.Cut(strings.TrimSpace(s), "/")
	return m, ok && m.kind != "" && m.sub != ""
}

// matches compares case-sensitively.
func (m mediaType) matches(contentType string) bool {
	got, ok := parseMediaType(contentType)
	return ok && (m.kind == "*" || m.kind == got.kind) && (m.sub == "*" || m.sub == got.sub)
}

func (m mediaType) String() string { return m.kind + "/" + m.sub }

// inputRules lists the ways in; a request needs to pass one.
func inputRules(in *storedv1.Input) []inputRule {
	empty := inputRule{empty: true}
	if in == nil {
		return []inputRule{empty, {pattern: mediaType{"*", "*"}}}
	}
	var rules []inputRule
	if !in.GetRequired() || in.ContentType == nil { // whatever is required of a handler that takes nothing
		rules = append(rules, empty)
	}
	if in.ContentType != nil {
		pattern, _ := parseMediaType(in.GetContentType()) // checked when it was registered
		rules = append(rules, inputRule{pattern: pattern, body: in.JsonSchema != nil})
	}
	return rules
}

// CheckInput tells whether a request with this content-type may call the handler. The error is that
// of the last rule; its text follows "input validation error: ".
func (h *Handler) CheckInput(contentType string, hasContentType bool, bodyEmpty bool) error {
	for i := range h.input {
		if h.input[i].passes(contentType, hasContentType, bodyEmpty) {
			return nil
		}
	}
	return h.input[len(h.input)-1].reason(contentType, hasContentType)
}

func (r *inputRule) passes(contentType string, has, bodyEmpty bool) bool {
	if r.empty {
		return !has && bodyEmpty
	}
	return has && r.pattern.matches(contentType) && !(r.body && bodyEmpty)
}

// reason says why a request did not pass.
func (r *inputRule) reason(contentType string, has bool) error {
	switch {
	case r.empty && has:
		return fmt.Errorf("body and content-type must be empty, the content-type is '%s'", contentType)
	case r.empty:
		return errors.New("body and content-type must be empty")
	case !has:
		return errors.New("empty content-type")
	case !r.pattern.matches(contentType):
		return fmt.Errorf("content-type '%s' does not match '%s'", contentType, r.pattern)
	default:
		return errors.New("empty body not allowed")
	}
}

// outputRule is the content-type of responses.
type outputRule struct {
	contentType string // "" = none
	evenIfEmpty bool
}

func newOutputRule(out *storedv1.Output) outputRule {
	if out == nil {
		return outputRule{contentType: "application/json"}
	}
	return outputRule{contentType: out.GetContentType(), evenIfEmpty: out.GetSetContentTypeIfEmpty()}
}

// OutputContentType returns the content-type of a response, if it has one.
func (h *Handler) OutputContentType(bodyEmpty bool) (string, bool) {
	if h.output.contentType == "" || bodyEmpty && !h.output.evenIfEmpty {
		return "", false
	}
	return h.output.contentType, true
}

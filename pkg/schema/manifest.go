package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	storedv1 "reprise/api/stored/v1"
)

// Manifest is what an endpoint announces, well formed but not judged yet.
type Manifest struct {
	bidi     bool
	zstd     bool // of a Lambda function: it takes and gives compressed bodies
	low      uint32
	high     uint32
	services []*storedv1.Service
}

// quotedMax bounds how much of a bad manifest an error repeats.
const quotedMax = 2048

var (
	serviceName = regexp.MustCompile(`^([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9._-]*$`)
	handlerName = regexp.MustCompile(`^([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]*$`)
)

// ParseManifest decodes a manifest of any version. It is strict: what it does not know is an error.
// The error is an *Error.
func ParseManifest(body []byte) (*Manifest, error) {
	o := newObject("", body)
	if !utf8.Valid(body) { // the decoder would let it through in places
		o.fail("", "is not UTF-8")
	}
	m := &Manifest{}
	mode := o.text("protocolMode")
	m.low = o.version("minProtocolVersion")
	m.high = o.version("maxProtocolVersion")
	if c := o.text("lambdaCompression"); c != nil {
		if m.zstd = *c == "zstd"; !m.zstd {
			o.fail("lambdaCompression", "is not zstd")
		}
	}
	for i, raw := range o.list("services") {
		s, err := parseService(fmt.Sprintf("services[%d]", i), raw)
		if err != nil && o.err == nil {
			o.err = err
		}
		m.services = append(m.services, s)
	}
	if mode != nil && *mode != "BIDI_STREAM" && *mode != "REQUEST_RESPONSE" {
		o.fail("protocolMode", "is neither BIDI_STREAM nor REQUEST_RESPONSE")
	}
	if err := o.end(); err != nil {
		quoted := bytes.ToValidUTF8(body[:min(len(body), quotedMax)], []byte("?"))
		return nil, &Error{Status: statusInternal, Message: fmt.Sprintf("the manifest cannot be decoded: %s: %s", err, quoted)}
	}
	if mode == nil {
		return nil, badAnswer(codeManifest, "the manifest has no protocolMode")
	}
	m.bidi = *mode == "BIDI_STREAM"
	return m, nil
}

func (o *object) version(name string) uint32 {
	v := o.integer(name, 1, math.MaxInt32)
	if !o.required(name, v != nil) {
		return 0
	}
	return uint32(*v)
}

func (o *object) name(pattern *regexp.Regexp) string {
	v := o.text("name")
	if !o.required("name", v != nil) {
		return ""
	}
	if !pattern.MatchString(*v) {
		o.fail("name", "%q is not a legal name", *v)
	}
	return *v
}

func parseService(path string, raw json.RawMessage) (*storedv1.Service, error) {
	o := newObject(path, raw)
	s := &storedv1.Service{Name: o.name(serviceName), Documentation: o.text("documentation"), Metadata: pairs(o.texts("metadata"))}
	if ty := o.text("ty"); o.required("ty", ty != nil) {
		switch *ty {
		case "SERVICE":
			s.Type = storedv1.ServiceType_SERVICE_TYPE_SERVICE
		case "VIRTUAL_OBJECT":
			s.Type = storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT
		case "WORKFLOW":
			s.Type = storedv1.ServiceType_SERVICE_TYPE_WORKFLOW
		default:
			o.fail("ty", "is none of SERVICE, VIRTUAL_OBJECT, WORKFLOW")
		}
	}
	s.Options = o.options()
	for i, raw := range o.list("handlers") {
		h, err := parseHandler(fmt.Sprintf("%s.handlers[%d]", path, i), raw)
		if err != nil && o.err == nil {
			o.err = err
		}
		s.Handlers = append(s.Handlers, h)
	}
	return s, o.end()
}

// parseHandler leaves the type of a handler without one unspecified.
func parseHandler(path string, raw json.RawMessage) (*storedv1.Handler, error) {
	o := newObject(path, raw)
	h := &storedv1.Handler{Name: o.name(handlerName), Documentation: o.text("documentation"), Metadata: pairs(o.texts("metadata"))}
	if ty := o.text("ty"); ty != nil {
		switch *ty {
		case "WORKFLOW":
			h.Type = storedv1.HandlerType_HANDLER_TYPE_WORKFLOW
		case "EXCLUSIVE":
			h.Type = storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE
		case "SHARED":
			h.Type = storedv1.HandlerType_HANDLER_TYPE_SHARED
		default:
			o.fail("ty", "is none of WORKFLOW, EXCLUSIVE, SHARED")
		}
	}
	h.Options = o.options()
	h.Options.WorkflowCompletionRetentionMs = o.millis("workflowCompletionRetention")
	if in := o.sub("input"); in != nil {
		h.Input = &storedv1.Input{ContentType: in.text("contentType"), JsonSchema: in.schema()}
		if required := in.boolean("required"); required != nil {
			h.Input.Required = *required
		}
		o.join(in)
	}
	if out := o.sub("output"); out != nil {
		h.Output = &storedv1.Output{ContentType: out.text("contentType"), JsonSchema: out.schema()}
		if set := out.boolean("setContentTypeIfEmpty"); set != nil {
			h.Output.SetContentTypeIfEmpty = *set
		}
		o.join(out)
	}
	return h, o.end()
}

func (o *object) join(sub *object) {
	if err := sub.end(); err != nil && o.err == nil {
		o.err = err
	}
}

// schema takes a JSON schema as text; null is a value, though a useless one.
func (o *object) schema() *string {
	raw, ok := o.take("jsonSchema")
	if !ok {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		o.fail("jsonSchema", "is not JSON")
	}
	text := compact.String()
	return &text
}

// options are those that services and handlers have in common.
func (o *object) options() *storedv1.Options {
	opts := &storedv1.Options{
		InactivityTimeoutMs:    o.millis("inactivityTimeout"),
		AbortTimeoutMs:         o.millis("abortTimeout"),
		JournalRetentionMs:     o.millis("journalRetention"),
		IdempotencyRetentionMs: o.millis("idempotencyRetention"),
		EnableLazyState:        o.boolean("enableLazyState"),
		IngressPrivate:         o.boolean("ingressPrivate"),
	}
	p := &storedv1.RetryPolicy{
		InitialIntervalMs:    o.millis("retryPolicyInitialInterval"),
		MaxIntervalMs:        o.millis("retryPolicyMaxInterval"),
		ExponentiationFactor: o.number("retryPolicyExponentiationFactor"),
	}
	if n := o.integer("retryPolicyMaxAttempts", 0, math.MaxInt64); n != nil {
		attempts := uint32(min(max(*n, 1), math.MaxUint32)) // one is made in any case
		p.MaxAttempts = &attempts
	}
	if on := o.text("retryPolicyOnMaxAttempts"); on != nil {
		kill := *on == "KILL"
		if !kill && *on != "PAUSE" {
			o.fail("retryPolicyOnMaxAttempts", "is neither PAUSE nor KILL")
		}
		p.KillOnMaxAttempts = &kill
	}
	if p.InitialIntervalMs != nil || p.MaxIntervalMs != nil || p.ExponentiationFactor != nil ||
		p.MaxAttempts != nil || p.KillOnMaxAttempts != nil {
		opts.RetryPolicy = p
	}
	return opts
}

// pairs sorts a map by name: stored messages have no maps.
func pairs(m map[string]string) (list []*storedv1.Header) {
	for name, value := range m {
		list = append(list, &storedv1.Header{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b *storedv1.Header) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list
}

package schema

import (
	"strings"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/serviceproto"
)

// Deployment judges the manifest and returns base, which says how the endpoint is reached and what it
// calls itself, with what it announces. base is not changed. The error is an *Error.
func (m *Manifest) Deployment(base *storedv1.Deployment) (*storedv1.Deployment, error) {
	low, high := m.low, m.high
	if low > high {
		return nil, badAnswer(codeManifest, "minProtocolVersion %d is above maxProtocolVersion %d", low, high)
	}
	if overstates(base.GetSdkVersion()) {
		high = 1
	}
	if !serviceproto.Overlaps(low, high) {
		return nil, badAnswer(codeVersions, "the endpoint speaks versions %d to %d of the service protocol, this server %d to %d",
			low, high, serviceproto.MinVersion, serviceproto.MaxVersion)
	}
	d := proto.CloneOf(base)
	d.Bidi, d.MinProtocolVersion, d.MaxProtocolVersion = m.bidi, low, high
	d.SdkVersion = strings.ToValidUTF8(d.GetSdkVersion(), "?") // a header; stored text has to be UTF-8
	d.Services, d.Info = nil, nil
	if l := d.GetLambda(); l != nil {
		l.Zstd = m.zstd
	}
	at := map[string]int{}
	for _, announced := range m.services {
		s, err := judgeService(announced)
		if err != nil {
			return nil, err
		}
		if i, twice := at[s.GetName()]; twice { // the last one wins
			d.Services[i] = s
			continue
		}
		at[s.GetName()] = len(d.Services)
		d.Services = append(d.Services, s)
	}
	d.Info = inactivityNotice(d)
	return d, nil
}

// overstates tells whether the SDK is one of those that announce versions they do not have.
func overstates(sdk string) bool {
	for _, release := range []string{"1.0.", "1.1.", "1.2."} {
		if strings.HasPrefix(sdk, "restate-sdk-typescript/"+release) {
			return true
		}
	}
	return false
}

func inactivityNotice(d *storedv1.Deployment) []*storedv1.Notice {
	n := notices{bidi: d.GetBidi()}
	for _, s := range d.GetServices() {
		o := options{}.with(s.GetOptions(), Defaults{}, &n)
		for _, h := range s.GetHandlers() {
			o.with(h.GetOptions(), Defaults{}, &n)
		}
	}
	return n.list
}

func judgeService(announced *storedv1.Service) (*storedv1.Service, error) {
	s := proto.CloneOf(announced)
	name := s.GetName()
	if lower := strings.ToLower(name); strings.HasPrefix(lower, "restate") || lower == "openapi" {
		return nil, &Error{Code: codeReservedName, Status: statusBadRequest, Message: "the service name '" + name + "' is reserved"}
	}
	handlers := s.GetHandlers()
	s.Handlers = nil
	at := map[string]int{}
	for _, h := range handlers {
		if err := judgeHandler(s, h); err != nil {
			return nil, err
		}
		if i, twice := at[h.GetName()]; twice { // the last one wins
			s.Handlers[i] = h
			continue
		}
		at[h.GetName()] = len(s.Handlers)
		s.Handlers = append(s.Handlers, h)
	}
	liftWorkflowRetention(s)
	return s, nil
}

// liftWorkflowRetention moves what the run handler says to the service: there it can be changed.
func liftWorkflowRetention(s *storedv1.Service) {
	for _, h := range s.GetHandlers() {
		if o := h.GetOptions(); o.WorkflowCompletionRetentionMs != nil {
			s.Options.WorkflowCompletionRetentionMs = o.WorkflowCompletionRetentionMs
			o.WorkflowCompletionRetentionMs = nil
		}
	}
}

// judgeHandler also gives a handler without a type the one that its service implies.
func judgeHandler(s *storedv1.Service, h *storedv1.Handler) error {
	where := "handler '" + s.GetName() + "/" + h.GetName() + "'"
	if err := judgeHandlerType(s.GetType(), h, where); err != nil {
		return err
	}
	o := h.GetOptions()
	run := h.GetType() == storedv1.HandlerType_HANDLER_TYPE_WORKFLOW
	switch {
	case run && o.IdempotencyRetentionMs != nil:
		return invalid("%s: idempotencyRetention has no meaning for the run handler of a workflow", where)
	case !run && o.WorkflowCompletionRetentionMs != nil:
		return invalid("%s: workflowCompletionRetention is for the run handler of a workflow only", where)
	case s.GetOptions().GetIngressPrivate() && o.IngressPrivate != nil && !o.GetIngressPrivate():
		return invalid("%s is public, but its service is private", where)
	}
	if in := h.GetInput(); in != nil && in.ContentType != nil {
		if m, ok := parseMediaType(in.GetContentType()); !ok || m.kind == "*" && m.sub != "*" {
			return invalid("%s: input content-type '%s' is not of the form type/subtype", where, in.GetContentType())
		}
	}
	if out := h.GetOutput(); out != nil && out.ContentType != nil {
		if _, ok := parseMediaType(out.GetContentType()); !ok || !headerValue(out.GetContentType()) {
			return invalid("%s: output content-type '%s' is not of the form type/subtype", where, out.GetContentType())
		}
	}
	for _, text := range []string{h.GetInput().GetJsonSchema(), h.GetOutput().GetJsonSchema()} {
		if text == "" {
			continue
		}
		if err := checkJSONSchema(text); err != nil {
			return invalid("%s: bad JSON schema: %s", where, err)
		}
	}
	return nil
}

func judgeHandlerType(service storedv1.ServiceType, h *storedv1.Handler, where string) error {
	const (
		none      = storedv1.HandlerType_HANDLER_TYPE_UNSPECIFIED
		exclusive = storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE
		shared    = storedv1.HandlerType_HANDLER_TYPE_SHARED
		run       = storedv1.HandlerType_HANDLER_TYPE_WORKFLOW
	)
	var implied storedv1.HandlerType
	var ok bool
	switch service {
	case storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT:
		implied, ok = exclusive, h.GetType() != run
	case storedv1.ServiceType_SERVICE_TYPE_WORKFLOW:
		implied, ok = shared, h.GetType() != exclusive
	default:
		if ok = h.GetType() == none || h.GetType() == shared; ok {
			h.Type = none // shared has no meaning there
		}
	}
	if !ok {
		return invalid("%s: a handler of this type does not fit a service of its type", where)
	}
	if h.GetType() == none {
		h.Type = implied
	}
	return nil
}

// headerValue tells whether s can stand in an HTTP header.
func headerValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

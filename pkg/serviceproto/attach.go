package serviceproto

import "reprise/pkg/id"

// ParseAttach decodes an AttachInvocation or a GetInvocationOutput command. A target that is named by
// its idempotency key or as a workflow has an id that follows from the name.
func ParseAttach(f Frame) (target id.Invocation, completionID uint32, err error) {
	named := false
	r := reader{b: f.Payload}
	for r.next() {
		switch r.num {
		case 1:
			text := r.text()
			if target, err = id.ParseInvocation(string(text)); err != nil {
				return target, 0, docError(DocPrecondition, "%s command with invocation id %q: %v", f.Type, clip(text), err)
			}
			named = true
		case 3:
			target, named = r.idempotentTarget(), true
		case 4:
			target, named = r.workflowTarget(), true
		case 11:
			completionID = r.uint32()
		default:
		}
	}
	if err = r.err(f.Type); err == nil && !named {
		err = violation("%s command without target", f.Type)
	}
	return target, completionID, err
}

// idempotentTarget reads an IdempotentRequestTarget. A key that is there, if empty, is that of an object.
func (r *reader) idempotentTarget() id.Invocation {
	var service, key, handler, idempotencyKey string
	keyed := false
	in := reader{b: r.raw()}
	for in.next() {
		switch in.num {
		case 1:
			service = string(in.text())
		case 2:
			key, keyed = string(in.text()), true
		case 3:
			handler = string(in.text())
		case 4:
			idempotencyKey = string(in.text())
		default:
		}
	}
	r.bad = r.bad || in.bad
	return id.IdempotentInvocation(service, key, keyed, handler, idempotencyKey)
}

func (r *reader) workflowTarget() id.Invocation {
	var name, key string
	in := reader{b: r.raw()}
	for in.next() {
		switch in.num {
		case 1:
			name = string(in.text())
		case 2:
			key = string(in.text())
		default:
		}
	}
	r.bad = r.bad || in.bad
	return id.WorkflowInvocation(name, key)
}

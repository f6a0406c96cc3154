package serviceproto

import storedv1 "reprise/api/stored/v1"

// ParsePromise decodes a GetPromise or a PeekPromise command.
func ParsePromise(f Frame) (name string, completionID uint32, err error) {
	r := reader{b: f.Payload}
	for r.next() {
		switch r.num {
		case 1:
			name = string(r.text())
		case 11:
			completionID = r.uint32()
		default:
		}
	}
	return name, completionID, r.err(f.Type)
}

// CompletePromise is a CompletePromise command. Its result is copied.
type CompletePromise struct {
	Promise    string
	Result     *storedv1.Result
	Completion uint32
}

// ParseCompletePromise decodes a CompletePromise command.
func ParseCompletePromise(payload []byte) (c CompletePromise, err error) {
	r := reader{b: payload}
	for r.next() {
		switch r.num {
		case 1:
			c.Promise = string(r.text())
		case 2:
			c.Result = r.valueResult()
		case 3:
			c.Result = r.failureResult()
		case 11:
			c.Completion = r.uint32()
		default:
		}
	}
	if err = r.err(TypeCompletePromise); err == nil && c.Result == nil {
		err = violation("CompletePromise command without completion")
	}
	return c, err
}

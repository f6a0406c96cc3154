package ingress

// traceParentLen is the length of version 00 of the W3C header: 00-<32 hex>-<16 hex>-<2 hex>.
const traceParentLen = 55

// validTraceParent tells whether a traceparent may become the parent of an invocation's trace.
func validTraceParent(s string) bool {
	if len(s) != traceParentLen || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	return hexNotZero(s[3:35]) && hexNotZero(s[36:52]) && lowerHex(s[53:])
}

func hexNotZero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return lowerHex(s)
		}
	}
	return false
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if !isHex(s[i]) || ('A' <= s[i] && s[i] <= 'F') {
			return false
		}
	}
	return true
}

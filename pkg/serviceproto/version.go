package serviceproto

import "strconv"

// The versions of the protocol.
const (
	MinVersion     = 5
	MaxVersion     = 7
	DefaultVersion = 6 // the highest that is used unless configured otherwise
)

// Versions of the manifest that a discovery may answer with.
const (
	MinManifestVersion = 1
	MaxManifestVersion = 4
)

const (
	invocationMedia = "application/vnd.restate.invocation.v"
	manifestMedia   = "application/vnd.restate.endpointmanifest.v"
)

// ContentType is the media type of an invocation stream of the version.
func ContentType(version uint32) string {
	switch version { // constants, since every attempt asks
	case 5:
		return invocationMedia + "5"
	case 6:
		return invocationMedia + "6"
	case 7:
		return invocationMedia + "7"
	default:
		return invocationMedia + strconv.FormatUint(uint64(version), 10)
	}
}

// AcceptHeader is what a discovery accepts: all manifest versions, ascending.
func AcceptHeader() string {
	return manifestMedia + "1+json, " + manifestMedia + "2+json, " + manifestMedia + "3+json, " + manifestMedia + "4+json"
}

// ManifestVersion tells which version of the manifest has exactly this content type.
func ManifestVersion(contentType string) (version int, ok bool) {
	for v := MinManifestVersion; v <= MaxManifestVersion; v++ {
		if contentType == manifestMedia+strconv.Itoa(v)+"+json" {
			return v, true
		}
	}
	return 0, false
}

// Overlaps tells whether a deployment that speaks versions low to high can be registered.
func Overlaps(low, high uint32) bool { return low <= MaxVersion && high >= MinVersion }

// Negotiate picks the version of an attempt that is not pinned yet: the highest that both sides
// have. ok is false if there is none (RT0013).
func Negotiate(low, high, serverMax uint32) (version uint32, ok bool) {
	version = min(high, serverMax)
	return version, low <= version && version >= MinVersion
}

package harness

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	restate "github.com/restatedev/sdk-go"
)

// Mode says how an endpoint talks with the server.
type Mode int

const (
	// AsAsked is what the flag -mode says.
	AsAsked Mode = iota
	// Bidi is HTTP/2 with the stream open in both directions.
	Bidi
	// RequestResponse is HTTP/2 with one request and one response per attempt.
	RequestResponse
	// HTTP1 is HTTP/1.1 with one request and one response per attempt.
	HTTP1
)

var modeNames = map[Mode]string{Bidi: "bidi", RequestResponse: "request-response", HTTP1: "http1"}

// ParseMode reads the value of a flag.
func ParseMode(s string) (Mode, error) {
	for m, name := range modeNames {
		if name == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("unknown mode %q: bidi, request-response or http1", s)
}

// String is the value of the flag.
func (m Mode) String() string { return modeNames[m] }

// Versions is a range of service protocol versions.
type Versions struct{ Min, Max int }

// Known are the versions that the suite's SDKs speak: Go 1.2.0 and TypeScript 1.17.2 both show 5 to 7.
var Known = Versions{5, 7}

// ParseVersions reads MIN-MAX.
func ParseVersions(s string) (Versions, error) {
	a, b, ok := strings.Cut(s, "-")
	lo, err1 := strconv.Atoi(a)
	hi, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || lo > hi {
		return Versions{}, fmt.Errorf("protocol versions %q: expected MIN-MAX, as in 5-6", s)
	}
	if lo < Known.Min || hi > Known.Max {
		return Versions{}, fmt.Errorf("protocol versions %q: the SDKs speak %s", s, Known)
	}
	return Versions{lo, hi}, nil
}

// String is the value of the flag.
func (v Versions) String() string { return fmt.Sprintf("%d-%d", v.Min, v.Max) }

// The SDKs that serve the suite's services.
const (
	GoSDK         = "go"
	TypeScriptSDK = "typescript"
)

// Setup is how the suite's own services are served in a run.
type Setup struct {
	SDK      string
	Mode     Mode
	Versions Versions
}

// ServerHeader is how the name of the SDK begins in its responses.
func (s Setup) ServerHeader() string { return "restate-sdk-" + s.SDK + "/" }

// resolve gives AsAsked its meaning.
func (s Setup) resolve(m Mode) Mode {
	if m == AsAsked {
		return s.Mode
	}
	return m
}

// Kinded is a service that programs of other SDKs can serve, too: they have the same one under the
// same kind. What its options are they are told by its manifest.
type Kinded interface {
	restate.ServiceDefinition
	// Kind names the func that made the service, with what it was given beside name and options.
	Kind() (kind string, args []string)
}

// SDK serves services with one of the SDKs.
type SDK interface {
	// Serve serves the services at addr (host:port).
	Serve(e *Env, mode Mode, addr string, defs []restate.ServiceDefinition) (*Endpoint, error)
	// Handler answers what these services answer, for a case that wants to be in between.
	Handler(e *Env, mode Mode, defs []restate.ServiceDefinition) (http.Handler, error)
}

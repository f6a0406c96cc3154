package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/proto"

	adminv1 "reprise/api/admin/v1"
	"reprise/pkg/id"
	"reprise/pkg/logkey"
)

// bodyBytesMax is the largest request body that is read.
const bodyBytesMax = 2 << 20

// body is a request body that was read whole, and what decoding it said: the gateway makes a text of that.
type body struct {
	data []byte
	err  error
}

func (b *body) Read([]byte) (int, error) { return 0, io.EOF }
func (b *body) Close() error             { return nil }

// newMux joins the calls of one admin API version to their paths.
func (s *Server) newMux(c *calls) (*runtime.ServeMux, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler{}),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllCharacters),
		runtime.WithWriteContentLength(),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithMiddlewares(s.beforeCall),
		runtime.WithErrorHandler(s.onError),
		runtime.WithRoutingErrorHandler(s.onMisroute),
		runtime.WithForwardResponseOption(c.status),
		// Nothing of gRPC's metadata belongs on this API.
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
	)
	if err := adminv1.RegisterAdminHandlerServer(context.Background(), mux, c); err != nil {
		return nil, err
	}
	if err := adminv1.RegisterInvocationsHandlerServer(context.Background(), mux, c); err != nil {
		return nil, err
	}
	if err := adminv1.RegisterKafkaHandlerServer(context.Background(), mux, c); err != nil {
		return nil, err
	}
	return mux, adminv1.RegisterLimitsHandlerServer(context.Background(), mux, c)
}

// beforeCall checks what belongs to HTTP, in the contract's order: path, query, then the body.
func (s *Server) beforeCall(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		a := checkPath(path)
		if a == nil {
			a = checkQuery(r)
		}
		if a == nil && r.Method != http.MethodGet && r.Method != http.MethodDelete && !bodiless(r.URL.Path) {
			a = readBody(w, r)
		}
		if a != nil {
			a.write(w)
			return
		}
		next(w, r, path)
	}
}

func checkPath(path map[string]string) *answer {
	for name, text := range path {
		if text == "" { // /services/ is no route
			return &answer{status: http.StatusNotFound, form: formEmpty}
		}
		if !utf8.ValidString(text) {
			return misfit(http.StatusBadRequest, "Invalid URL: Invalid UTF-8 in `%s`", name)
		}
		var err error
		switch name {
		case "deployment":
			_, err = id.ParseDeployment(text)
		case "subscription":
			_, err = id.ParseSubscription(text)
		}
		if err != nil {
			return misfit(http.StatusBadRequest, "Invalid URL: Cannot parse `%s` with value `%s`: %s", name, text, err)
		}
	}
	return nil
}

// checkQuery leaves in the query only what calls know, so that the gateway never has to judge it.
func checkQuery(r *http.Request) *answer {
	raw := r.URL.RawQuery
	r.URL.RawQuery = ""
	names := queryNames(r)
	if len(names) == 0 {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return misfit(http.StatusBadRequest, "Failed to deserialize query string: %s", err)
	}
	known := url.Values{}
	for _, name := range names {
		switch values := query[name]; {
		case len(values) == 0:
			continue
		case len(values) > 1:
			return misfit(http.StatusBadRequest, "Failed to deserialize query string: duplicate field `%s`", name)
		case isFlag(name) && values[0] != "true" && values[0] != "false":
			return misfit(http.StatusBadRequest, "Failed to deserialize query string: %s: provided string was not `true` or `false`", name)
		default:
			known.Set(name, values[0])
		}
	}
	r.URL.RawQuery = known.Encode()
	return nil
}

// queryNames are the parameters that a route has.
func queryNames(r *http.Request) []string {
	switch of := ofInvocations(r.URL.Path); {
	case of && r.Method == http.MethodPatch:
		return []string{"deployment", "from"}
	case of && r.Method == http.MethodDelete:
		return []string{"mode"}
	case r.Method == http.MethodDelete:
		return []string{"force"}
	case r.URL.Path == "/subscriptions":
		return []string{"sink", "source"}
	case strings.HasPrefix(r.URL.Path, "/kafka-clusters/"):
		return []string{"include_subscriptions"}
	default:
		return nil
	}
}

// isFlag tells whether a parameter is true or false.
func isFlag(name string) bool { return name == "force" || name == "include_subscriptions" }

// bodiless tells whether a path is one of those that take no body, whatever the method.
func bodiless(path string) bool { return ofInvocations(path) || strings.HasPrefix(path, "/vqueues/") }

// readBody replaces the body of r by one in memory.
func readBody(w http.ResponseWriter, r *http.Request) *answer {
	if !isJSON(r.Header.Get("Content-Type")) {
		return noJSON()
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return misfit(http.StatusRequestEntityTooLarge, "Failed to buffer the request body: length limit exceeded")
	case err != nil:
		return misfit(http.StatusBadRequest, "Failed to buffer the request body: %s", err)
	}
	r.Body = &body{data: data}
	return nil
}

func noJSON() *answer {
	return misfit(http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`")
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	sub, ok := strings.CutPrefix(t, "application/")
	return ok && (sub == "json" || strings.HasSuffix(sub, "+json"))
}

// onError answers what a call, or the gateway before it, refused.
func (s *Server) onError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	if b, ok := r.Body.(*body); ok && b.err != nil {
		bodyAnswer(b.err).write(w)
		return
	}
	a := answerOf(err)
	if a.status >= http.StatusInternalServerError && a.code == "" {
		s.h.Log.Warn("admin request failed", logkey.Code, a.status, logkey.Err, err)
	}
	a.write(w)
}

// bodyAnswer tells malformed JSON from JSON that does not fit.
func bodyAnswer(err error) *answer {
	var malformed *json.SyntaxError
	if errors.As(err, &malformed) {
		return misfit(http.StatusBadRequest, "Failed to parse the request body as JSON: %s", err)
	}
	var unfit *json.UnmarshalTypeError
	if errors.As(err, &unfit) { // its text names our types
		return misfit(http.StatusUnprocessableEntity, "%s%s cannot be of type %s", misshapen, cmp.Or(unfit.Field, "the body"), unfit.Value)
	}
	return misfit(http.StatusUnprocessableEntity, "%s%s", misshapen, err)
}

// onMisroute answers paths and methods that no call has. 405 names the methods that the path has.
func (s *Server) onMisroute(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", s.routes.allow(r.URL.Path))
	}
	(&answer{status: status, form: formEmpty}).write(w)
}

// empty begins an answer without a body.
func empty(w http.ResponseWriter, status int) {
	w.Header().Del("Content-Type")
	w.Header().Del("Vary")
	w.WriteHeader(status)
}

// status sets what a success says besides its body.
func (c *calls) status(_ context.Context, w http.ResponseWriter, m proto.Message) error {
	switch m := m.(type) {
	case *adminv1.RegisterDeploymentResponse:
		w.Header().Set("Location", "deployments/"+m.Id)
		if m.Created || c.v2 { // version 2 has no success that changes nothing
			w.WriteHeader(http.StatusCreated)
		}
	case *adminv1.DeleteDeploymentResponse:
		empty(w, http.StatusAccepted)
	case *adminv1.HealthResponse:
		empty(w, http.StatusOK)
	case *adminv1.OperationResponse:
		status := http.StatusOK
		if m.UnderWay {
			status = http.StatusAccepted
		}
		empty(w, status)
	}
	return nil
}

package lambdatest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/pkg/lifecycle"
)

// Function is the code of a function: it gets and returns payloads. An error is the function's.
type Function func(ctx context.Context, payload []byte) ([]byte, error)

// Server speaks the Invoke API of Lambda, and AssumeRole of STS.
type Server struct {
	URL string

	mu        sync.Mutex
	functions map[string]Function
	calls     []Call
	roles     []Role
}

// Call is an Invoke as it came.
type Call struct {
	ARN     string
	KeyID   string // of the credentials that signed it
	Payload []byte
}

// Role is an AssumeRole as it came.
type Role struct{ ARN, ExternalID, Session string }

// AssumedKeyID is the key id of all credentials that AssumeRole gives.
const AssumedKeyID = "ASSUMED"

// KeyID is the key id of the process's own credentials after Environment.
const KeyID = "OWN"

const headerTimeout = 10 * time.Second

// Serve runs a server without functions until the test ends.
func Serve(t testing.TB) *Server {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "http://" + ln.Addr().String(), functions: map[string]Function{}}
	h := &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTimeout}
	g := lifecycle.NewGroup(context.Background())
	g.Go("lambda", func(context.Context) error {
		if err := h.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	t.Cleanup(func() {
		_ = h.Close()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Environment has the AWS library of this process call the server, with credentials of its own.
func (s *Server) Environment(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", KeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}

// Deploy makes a function known.
func (s *Server) Deploy(arn string, f Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.functions[arn] = f
}

// Calls are the Invokes that came.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Roles are the AssumeRoles that came.
func (s *Server) Roles() []Role {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Role(nil), s.roles...)
}

const invokePrefix, invokeSuffix = "/2015-03-31/functions/", "/invocations"

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller left
	}
	arn, ok := strings.CutPrefix(r.URL.Path, invokePrefix)
	if !ok {
		s.assume(w, body)
		return
	}
	arn = strings.TrimSuffix(arn, invokeSuffix)
	s.mu.Lock()
	f := s.functions[arn]
	s.calls = append(s.calls, Call{ARN: arn, KeyID: keyID(r), Payload: body})
	s.mu.Unlock()
	if f == nil {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"Type":"User","Message":"Function not found: `+arn+`"}`)
		return
	}
	out, err := f(r.Context(), body)
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		out, _ = json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": "error"})
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(out))) // as the service does
	_, _ = w.Write(out)
}

// keyID is that of the credentials which signed a request.
func keyID(r *http.Request) string {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}

func (s *Server) assume(w http.ResponseWriter, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Action") != "AssumeRole" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.roles = append(s.roles, Role{form.Get("RoleArn"), form.Get("ExternalId"), form.Get("RoleSessionName")})
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	_, _ = io.WriteString(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>`+
		`<AccessKeyId>`+AssumedKeyID+`</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>`+
		`<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
}

// Event is what the functions of SDKs get.
type Event struct {
	Path    string            `json:"path"`
	Method  string            `json:"httpMethod"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`
}

// Answer is what they return.
type Answer struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`
}

// Wrap makes a function of an endpoint, as SDKs do.
func Wrap(h http.Handler) Function {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var e Event
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, e.Method, e.Path, strings.NewReader(string(e.Body)))
		if err != nil {
			return nil, err
		}
		for name, value := range e.Headers {
			req.Header.Set(name, value)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		a := Answer{Status: rec.Code, Headers: map[string]string{}, Body: rec.Body.Bytes(), Base64: true}
		for name := range rec.Header() {
			a.Headers[name] = rec.Header().Get(name)
		}
		return json.Marshal(a)
	}
}

package admin

import (
	"net/http"
	"strings"
	"time"

	"reprise/pkg/access"
)

// longAgo as a deadline ends a read.
var longAgo = time.Unix(1, 0)

// needed is the role that a request without version prefix asks for.
func needed(r *http.Request) access.Role {
	path := r.URL.Path
	switch {
	case r.Method == http.MethodOptions, path == "/health", ofUI(path): // the UI itself holds nothing of the cluster
		return access.Nobody
	case r.Method == http.MethodGet, r.Method == http.MethodHead, path == "/query":
		return access.Viewer
	case strings.HasPrefix(path, "/invocations/"), strings.HasPrefix(path, "/internal/invocations_batch_operations/"),
		strings.HasPrefix(path, "/vqueues/"), strings.HasPrefix(path, "/services/") && strings.HasSuffix(path, "/state"):
		return access.Operator
	default:
		return access.Admin
	}
}

// admit answers strangers, and those whose role does not allow the request, before its body is read.
func (f *front) admit(w http.ResponseWriter, r *http.Request) bool {
	need := needed(r)
	if f.tokens == nil || need == access.Nobody {
		return true
	}
	name, role := f.tokens.Bearer(r.Header.Get("Authorization"))
	if role >= need {
		return true
	}
	var a *answer
	if role < access.Viewer {
		w.Header().Set("Www-Authenticate", "Bearer")
		a = &answer{status: http.StatusUnauthorized, text: "send the header 'authorization: Bearer <token>' with a token that the admin API knows"}
	} else {
		a = &answer{status: http.StatusForbidden, text: "the token of " + name + " has the role " + role.String() + ", and this takes " + need.String()}
	}
	w.Header().Set("Connection", "close")
	a.write(w)
	_ = http.NewResponseController(w).SetReadDeadline(longAgo) // net/http would read on; an error means that the client has gone
	return false
}

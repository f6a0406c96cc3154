package admin

import (
	_ "embed"
	"net/http"
	"strings"
)

//go:embed ui/index.html
var uiPage []byte

const uiPath = "/ui/"

// ofUI tells whether a path belongs to the web UI.
func ofUI(path string) bool { return path == "/" || path == "/ui" || strings.HasPrefix(path, uiPath) }

// newUI serves a page that says what there is. Any path below /ui/ is the page: a UI finds its way inside.
func newUI() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", "GET,HEAD")
			(&answer{status: http.StatusMethodNotAllowed, form: formEmpty}).write(w)
		case !strings.HasPrefix(r.URL.Path, uiPath):
			to := uiPath
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			w.Header().Set("Location", to)
			(&answer{status: http.StatusPermanentRedirect, form: formEmpty}).write(w)
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Service-Worker-Allowed", "/")
			_, _ = w.Write(uiPage) // the client went away
		}
	})
}

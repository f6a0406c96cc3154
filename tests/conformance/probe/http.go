package probe

import (
	"encoding/json"
	"net/http"
)

// Handler offers the probe to services in other processes, which call it on loopback: POST /<operation>
// with {"key", "line"}, answered by {"value"}. A wait lasts until its gate opens or the caller leaves.
func Handler() http.Handler {
	mux := http.NewServeMux()
	for name, do := range map[string]func(r *http.Request, key, line string) any{
		"hit":    func(_ *http.Request, key, _ string) any { return Hit(key) },
		"hits":   func(_ *http.Request, key, _ string) any { return Hits(key) },
		"isOpen": func(_ *http.Request, key, _ string) any { return IsOpen(key) },
		"enter":  func(_ *http.Request, key, _ string) any { Enter(key); return nil },
		"leave":  func(_ *http.Request, key, _ string) any { leave(key); return nil },
		"log":    func(_ *http.Request, key, line string) any { Log(key, line); return nil },
		"wait":   func(r *http.Request, key, _ string) any { Wait(r.Context(), key); return nil },
	} {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			var in struct{ Key, Line string }
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("content-type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"value": do(r, in.Key, in.Line)}) // the caller may have left
		})
	}
	return mux
}

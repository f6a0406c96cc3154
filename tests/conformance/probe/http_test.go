package probe

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan struct{}, 1) // of a wait
	h := Handler()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			began <- struct{}{}
			defer func() { ended <- struct{}{} }()
		}
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	key, gate := "h"+rand.Text(), "g"+rand.Text() // the memory is that of the process
	ask := func(ctx context.Context, op, body string) (int, any, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/"+op, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, nil, err
		}
		defer res.Body.Close()
		var out struct{ Value any }
		if res.StatusCode == http.StatusOK {
			if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
				t.Fatal(err)
			}
		}
		return res.StatusCode, out.Value, nil
	}
	for _, step := range []struct {
		op, body string
		status   int
		want     any
	}{
		{"hit", `{"key":"` + key + `"}`, 200, 1.0},
		{"hit", `{"key":"` + key + `"}`, 200, 2.0},
		{"hits", `{"key":"` + key + `"}`, 200, 2.0},
		{"hits", `{"key":"other"}`, 200, 0.0},
		{"enter", `{"key":"` + key + `"}`, 200, nil},
		{"log", `{"key":"` + key + `","line":"one"}`, 200, nil},
		{"isOpen", `{"key":"` + key + `"}`, 200, false},
		{"hit", `nonsense`, 400, nil},
		{"nonsense", `{"key":"` + key + `"}`, 404, nil},
	} {
		status, value, err := ask(t.Context(), step.op, step.body)
		if err != nil || status != step.status || value != step.want {
			t.Errorf("%s %s: %d %v %v, want %d %v", step.op, step.body, status, value, err, step.status, step.want)
		}
	}
	if n, lines := Inside(key), Lines(key); n != 1 || len(lines) != 1 || lines[0] != "one" {
		t.Errorf("inside %d, lines %v", n, lines)
	}
	if _, _, err := ask(t.Context(), "leave", `{"key":"`+key+`"}`); err != nil || Inside(key) != 0 || MaxInside(key) != 1 {
		t.Errorf("after leaving: %v, inside %d, at most %d", err, Inside(key), MaxInside(key))
	}

	// A wait ends with its caller, and with the gate.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := ask(ctx, "wait", `{"key":"`+gate+`"}`)
		done <- err
	}()
	<-began
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled wait: %v", err)
	}
	<-ended
	if n := Waiting(gate); n != 0 {
		t.Errorf("%d are waiting after the caller left", n)
	}
	go func() {
		_, _, err := ask(t.Context(), "wait", `{"key":"`+gate+`"}`)
		done <- err
	}()
	<-began
	Open(gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-ended
}

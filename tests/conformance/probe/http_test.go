package probe

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	s := httptest.NewServer(Handler())
	defer s.Close()
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
		{"hit", `{"key":"h"}`, 200, 1.0},
		{"hit", `{"key":"h"}`, 200, 2.0},
		{"hits", `{"key":"h"}`, 200, 2.0},
		{"hits", `{"key":"other"}`, 200, 0.0},
		{"enter", `{"key":"h"}`, 200, nil},
		{"log", `{"key":"h","line":"one"}`, 200, nil},
		{"isOpen", `{"key":"h"}`, 200, false},
		{"hit", `nonsense`, 400, nil},
		{"nonsense", `{"key":"h"}`, 404, nil},
	} {
		status, value, err := ask(t.Context(), step.op, step.body)
		if err != nil || status != step.status || value != step.want {
			t.Errorf("%s %s: %d %v %v, want %d %v", step.op, step.body, status, value, err, step.status, step.want)
		}
	}
	if n, lines := Inside("h"), Lines("h"); n != 1 || len(lines) != 1 || lines[0] != "one" {
		t.Errorf("inside %d, lines %v", n, lines)
	}
	if _, _, err := ask(t.Context(), "leave", `{"key":"h"}`); err != nil || Inside("h") != 0 || MaxInside("h") != 1 {
		t.Errorf("after leaving: %v, inside %d, at most %d", err, Inside("h"), MaxInside("h"))
	}

	// A wait ends with its caller, and with the gate.
	waiting := func(want int64) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); Waiting("gate") != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d are waiting, want %d", Waiting("gate"), want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := ask(ctx, "wait", `{"key":"gate"}`)
		done <- err
	}()
	waiting(1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled wait: %v", err)
	}
	waiting(0)
	go func() {
		_, _, err := ask(t.Context(), "wait", `{"key":"gate"}`)
		done <- err
	}()
	waiting(1)
	Open("gate")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

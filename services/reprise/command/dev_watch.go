package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	discoverEvery = 2 * time.Second
	codeHTTP1     = "META0014" // the endpoint speaks HTTP/1.1 alone
)

// devEndpoint is a deployment that is registered whenever its services change.
type devEndpoint struct {
	url     string
	http1   bool
	known   []byte // its services as they were registered; nil before
	trouble string // why it cannot be discovered, as it was shown
}

// devWatch looks after endpoints.
type devWatch struct {
	*runner
	endpoints []*devEndpoint
}

// run looks at the endpoints until ctx ends.
func (w *devWatch) run(ctx context.Context) error {
	for {
		for _, e := range w.endpoints {
			err := w.look(ctx, e)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the end
			}
			if err == nil {
				e.trouble = ""
				continue
			}
			if e.trouble != err.Error() { // said once
				e.trouble = err.Error()
				w.warn(fmt.Sprintf("%s: %s\n           It is tried again every %s.", e.url, err, discoverEvery))
			}
		}
		if !w.sleep(ctx, discoverEvery) {
			return nil
		}
	}
}

// look discovers an endpoint, and registers it if its services are new.
func (w *devWatch) look(ctx context.Context, e *devEndpoint) error {
	q := registration{URI: e.url, HTTP1: e.http1, Force: true, DryRun: true}
	found, services, status, err := w.post(ctx, q)
	var refused *serverError
	if errors.As(err, &refused) && refused.code == codeHTTP1 && !e.http1 {
		e.http1, q.HTTP1 = true, true
		found, services, status, err = w.post(ctx, q)
	}
	if err != nil {
		return err
	}
	if bytes.Equal(services, e.known) {
		return nil
	}
	if e.known != nil {
		w.printf("❯ %s has changed\n", e.url)
	}
	quiet := w.quiet
	w.quiet = true // that it replaces what is there is the point
	err = w.showChanges(ctx, found, status == http.StatusOK)
	w.quiet = quiet
	if err != nil {
		return err
	}
	q.DryRun = false
	if found, services, _, err = w.post(ctx, q); err != nil {
		return err
	}
	e.known = services
	w.ok("%s is deployment %s", e.url, found.ID)
	return nil
}

// post registers a deployment, and returns its services in a form that compares.
func (w *devWatch) post(ctx context.Context, q registration) (d deploymentModel, services []byte, status int, err error) {
	var answer json.RawMessage
	if status, err = w.client.send(ctx, http.MethodPost, "/deployments", q, &answer); err != nil {
		return d, nil, status, err
	}
	if err := json.Unmarshal(answer, &d); err != nil {
		return d, nil, status, fmt.Errorf("answer to a registration: %w", err)
	}
	services, err = offered(answer)
	return d, services, status, err
}

// offered is what an endpoint offers, without what changes with each registration or has no order.
func offered(deployment []byte) ([]byte, error) {
	var d struct {
		Services []map[string]any `json:"services"`
		Min      int              `json:"min_protocol_version"`
		Max      int              `json:"max_protocol_version"`
		SDK      string           `json:"sdk_version"`
	}
	if err := json.Unmarshal(deployment, &d); err != nil {
		return nil, fmt.Errorf("answer to a registration: %w", err)
	}
	byName := func(a, b any) int { return cmp.Compare(nameOf(a), nameOf(b)) }
	for _, s := range d.Services {
		delete(s, "revision")
		delete(s, "deployment_id")
		if handlers, ok := s["handlers"].([]any); ok {
			slices.SortFunc(handlers, byName)
		}
	}
	slices.SortFunc(d.Services, func(a, b map[string]any) int { return byName(a, b) })
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	return b, nil
}

func nameOf(v any) string {
	m, _ := v.(map[string]any) // what is none has no name
	name, _ := m["name"].(string)
	return name
}

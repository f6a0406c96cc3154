package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/admin"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/registry"
	"reprise/pkg/registry/registrytest"
	"reprise/pkg/schema"
)

// Listing 5,000 services, 5 MB of JSON.
func BenchmarkListServices(b *testing.B) {
	cfg := registry.Default()
	store := registrytest.New(schema.Default())
	documentation := strings.Repeat("x", 600)
	d := &storedv1.Deployment{Id: make([]byte, 16), Uri: "http://h:1/", MinProtocolVersion: 5, MaxProtocolVersion: 7}
	for i := range 5000 {
		d.Services = append(d.Services, &storedv1.Service{
			Name: fmt.Sprintf("S%d", i), Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1, Documentation: &documentation, Handlers: []*storedv1.Handler{{Name: "h"}, {Name: "i"}},
		})
	}
	if _, err := store.UpdateSchema(b.Context(), func(*storedv1.Schema) (*storedv1.Schema, error) {
		return &storedv1.Schema{Deployments: []*storedv1.Deployment{d}}, nil
	}); err != nil {
		b.Fatal(err)
	}
	h := hosttest.New(hosttest.NewClock(), 1)
	reg, err := registry.New(cfg, store, store, h)
	if err != nil {
		b.Fatal(err)
	}
	s, err := admin.New(admin.Default(), reg, nil, h)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/services", http.NoBody))
		b.SetBytes(int64(w.Body.Len()))
	}
}

package schema_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

// FuzzStored: whatever schema is stored, a process that reads it answers every question about it.
func FuzzStored(f *testing.F) {
	add := func(s *storedv1.Schema) {
		b, err := proto.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	function := deployment(2, "", plain)
	function.Lambda = &storedv1.Lambda{Arn: "f:1", AssumeRoleArn: "r", Zstd: true}
	add(&storedv1.Schema{})
	add(&storedv1.Schema{Version: 3, Deployments: []*storedv1.Deployment{deployment(1, "http://h:1/", plain), function}})
	add(&storedv1.Schema{Deployments: []*storedv1.Deployment{{}, {Id: []byte{1}, Services: []*storedv1.Service{{}, {Handlers: []*storedv1.Handler{{}, {Input: &storedv1.Input{}}}}}}}})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s storedv1.Schema
		if proto.Unmarshal(b, &s) != nil {
			return
		}
		r := schema.NewRegistry(&s, schema.Default())
		for _, one := range r.Services() {
			for _, h := range one.Stored.GetHandlers() {
				got, err := r.Handler(one.Name, h.GetName())
				if err != nil {
					t.Fatalf("%s/%s is listed: %v", one.Name, h.GetName(), err)
				}
				_ = got.CheckInput("application/json", true, false)
				_, _ = got.OutputContentType(true)
				_, _ = got.Retentions(true)
				_ = got.Target("k")
			}
		}
		for _, d := range s.GetDeployments() {
			var which id.Deployment
			copy(which[:], d.GetId())
			_, _ = r.Deployment(which)
			_ = r.DeploymentServices(which)
			if schema.FindSame(&s, d, nil) == nil && d.GetUri() == "" && d.GetLambda() != nil {
				t.Fatalf("%v is not found by its address", d)
			}
			if _, _, err := schema.Register(&s, d, schema.RegisterOptions{Force: true}); err != nil {
				t.Fatalf("registered again by force: %v", err)
			}
			_, _ = schema.Remove(&s, which)
		}
	})
}

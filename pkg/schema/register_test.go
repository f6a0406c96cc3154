package schema_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

const (
	plain    = storedv1.ServiceType_SERVICE_TYPE_SERVICE
	object   = storedv1.ServiceType_SERVICE_TYPE_VIRTUAL_OBJECT
	workflow = storedv1.ServiceType_SERVICE_TYPE_WORKFLOW
)

func deployment(n byte, uri string, ty storedv1.ServiceType, services ...string) *storedv1.Deployment {
	d := &storedv1.Deployment{Id: make([]byte, 16), Uri: uri, CreatedAtMs: int64(n)}
	d.Id[15] = n
	for _, name := range services {
		d.Services = append(d.Services, &storedv1.Service{Name: name, Type: ty})
	}
	return d
}

// register is Register, and checks that what goes in is left alone.
func register(t *testing.T, old *storedv1.Schema, d *storedv1.Deployment, o schema.RegisterOptions) (*storedv1.Schema, schema.Registered, error) {
	t.Helper()
	oldCopy, dCopy := proto.CloneOf(old), proto.CloneOf(d)
	next, r, err := schema.Register(old, d, o)
	if !proto.Equal(old, oldCopy) || !proto.Equal(d, dCopy) {
		t.Fatal("Register changed its arguments")
	}
	return next, r, err
}

func must(t *testing.T, old *storedv1.Schema, d *storedv1.Deployment, o schema.RegisterOptions) *storedv1.Schema {
	t.Helper()
	next, _, err := register(t, old, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// active returns revision and deployment of what would be called, 0 if there is nothing.
func active(s *storedv1.Schema, name string) (revision uint32, deployment byte) {
	svc, ok := schema.NewRegistry(s, schema.Default()).Service(name)
	if !ok {
		return 0, 0
	}
	return svc.Revision, svc.Deployment[15]
}

func expect(t *testing.T, s *storedv1.Schema, name string, revision uint32, deployment byte) {
	t.Helper()
	if r, d := active(s, name); r != revision || d != deployment {
		t.Errorf("%s is revision %d of deployment %d, not %d of %d", name, r, d, revision, deployment)
	}
}

func TestRevisions(t *testing.T) {
	force := schema.RegisterOptions{Force: true}
	s := must(t, nil, deployment(1, "http://a:1/", plain, "A", "B"), schema.RegisterOptions{})
	expect(t, s, "A", 1, 1)
	s = must(t, s, deployment(2, "http://b:1/", plain, "A"), schema.RegisterOptions{})
	expect(t, s, "A", 2, 2)
	expect(t, s, "B", 1, 1) // absent from the newer deployment, it stays where it was
	s = must(t, s, deployment(3, "http://b:1/", plain, "A"), force)
	expect(t, s, "A", 3, 2)
	s = must(t, s, deployment(4, "http://a:1/", plain, "A", "C"), force)
	expect(t, s, "A", 4, 1)
	expect(t, s, "B", 0, 0) // replaced wholesale
	expect(t, s, "C", 1, 1)
	if s.GetVersion() != 4 || len(s.GetDeployments()) != 2 {
		t.Errorf("schema is %v", s)
	}
	last := s.GetDeployments()[1]
	if last.GetUri() != "http://a:1/" || last.GetCreatedAtMs() != 4 {
		t.Errorf("an overwritten deployment should count as new: %v", last)
	}

	s, err := schema.Remove(s, id.Deployment(last.GetId()))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, "A", 3, 2) // the older one is active again
	s = must(t, s, deployment(5, "http://c:1/", plain, "A"), schema.RegisterOptions{})
	expect(t, s, "A", 4, 5) // and the number is used once more

	_, err = schema.Remove(s, id.Deployment{15: 77})
	var e *schema.Error
	if !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("removing what is not there: %v", err)
	}
}

func TestRegisterKnown(t *testing.T) {
	s := must(t, nil, deployment(1, "http://a:1/", plain, "A"), schema.RegisterOptions{})
	next, r, err := register(t, s, deployment(2, "http://a:1", plain, "A"), schema.RegisterOptions{Breaking: true})
	if next != s || r.Created || r.Deployment != (id.Deployment{15: 1}) || err != nil {
		t.Errorf("known: %v, %v, %v", next, r, err)
	}
	next, r, err = register(t, s, deployment(2, "http://a:1", plain, "A"), schema.RegisterOptions{Force: true})
	if r.Created || r.Deployment != (id.Deployment{15: 1}) || err != nil || len(next.GetDeployments()) != 1 {
		t.Errorf("forced: %v, %v, %v", next, r, err)
	}
	_, r, err = register(t, s, deployment(2, "http://b:1", plain, "A"), schema.RegisterOptions{Force: true})
	if !r.Created || r.Deployment != (id.Deployment{15: 2}) || err != nil {
		t.Errorf("another address: %v, %v", r, err)
	}
}

func TestTypeChange(t *testing.T) {
	s := must(t, nil, deployment(1, "http://a:1/", plain, "A"), schema.RegisterOptions{})
	_, _, err := register(t, s, deployment(2, "http://b:1/", object, "A"), schema.RegisterOptions{})
	var e *schema.Error
	if !errors.As(err, &e) || e.Status != 409 || e.Code != "META0006" {
		t.Errorf("type change: %v", err)
	}
	for _, o := range []schema.RegisterOptions{{Force: true}, {Breaking: true}} {
		next := must(t, s, deployment(2, "http://b:1/", object, "A"), o)
		expect(t, next, "A", 2, 2)
		if svc, _ := schema.NewRegistry(next, schema.Default()).Service("A"); svc.Type != object {
			t.Errorf("%+v: type is %s", o, svc.Type)
		}
	}
}

func TestFindSameFunction(t *testing.T) {
	function := func(n byte, arn, role string) *storedv1.Deployment {
		d := deployment(n, "", plain)
		d.Lambda = &storedv1.Lambda{Arn: arn, AssumeRoleArn: role}
		return d
	}
	s := &storedv1.Schema{Deployments: []*storedv1.Deployment{deployment(1, "", plain), function(2, "f:1", "r"), function(3, "f:2", "")}}
	for arn, want := range map[string]byte{"f:1": 2, "f:2": 3, "f": 0, "": 0} {
		got := schema.FindSame(s, function(9, arn, ""), nil)
		if want == 0 && got != nil || want != 0 && (got == nil || got.GetId()[15] != want) {
			t.Errorf("%q is %v, not %d", arn, got, want)
		}
	}
}

func TestFindSame(t *testing.T) {
	s := &storedv1.Schema{Deployments: []*storedv1.Deployment{
		deployment(1, "http://h:1/", plain), deployment(3, "http://h:1/base", plain), deployment(2, "http://h:1/base", plain),
	}}
	for uri, want := range map[string]byte{
		"http://h:1/": 1, "http://h:1": 1, "https://h:1/": 1, "http://h:1/?x=y": 1,
		"http://h:1/base":  3, // the one that was created last
		"http://h:1/base/": 0, "http://h:2/": 0, "http://h/": 0, "http://127.0.0.1:1/": 0, "http://u@h:1/": 0, "http://h:1/%zz": 0,
	} {
		got := schema.FindSame(s, &storedv1.Deployment{Uri: uri}, nil)
		if want == 0 && got != nil || want != 0 && (got == nil || got.GetId()[15] != want) {
			t.Errorf("%s is %v, not %d", uri, got, want)
		}
	}
	if got := schema.FindSame(nil, &storedv1.Deployment{Uri: "http://h:1/"}, nil); got != nil {
		t.Errorf("found %v in nothing", got)
	}
}

func TestFindSameByHeaders(t *testing.T) {
	with := func(n byte, uri string, headers ...string) *storedv1.Deployment {
		d := deployment(n, uri, plain)
		for i := 0; i < len(headers); i += 2 {
			d.AdditionalHeaders = append(d.AdditionalHeaders, &storedv1.Header{Name: headers[i], Value: headers[i+1]})
		}
		return d
	}
	s := &storedv1.Schema{Deployments: []*storedv1.Deployment{
		with(1, "http://a:1/"), with(2, "http://a:1/", "x-route", "blue", "other", "1"), with(3, "http://a:1/", "x-route", "green"),
	}}
	for _, row := range []struct {
		d    *storedv1.Deployment
		by   []string
		want byte // 0: none
	}{
		{with(9, "http://a:1/", "x-route", "red"), nil, 3}, // headers do not count: the newest
		{with(9, "http://a:1/", "x-route", "blue"), []string{"x-route"}, 2},
		{with(9, "http://a:1/", "x-route", "red"), []string{"x-route"}, 0},
		{with(9, "http://a:1/", "other", "2"), []string{"x-route"}, 1},
		{with(9, "http://a:1/", "x-route", "blue"), []string{"x-route", "other"}, 0},
		{with(9, "http://b:1/", "x-route", "blue"), []string{"x-route"}, 0},
	} {
		var got byte
		if same := schema.FindSame(s, row.d, row.by); same != nil {
			got = same.GetId()[15]
		}
		if got != row.want {
			t.Errorf("%v by %v is %d, not %d", row.d.GetAdditionalHeaders(), row.by, got, row.want)
		}
	}
	blue := with(4, "http://a:1/", "x-route", "red")
	next := must(t, s, blue, schema.RegisterOptions{RoutingHeaders: []string{"x-route"}})
	if len(next.GetDeployments()) != 4 {
		t.Errorf("%d deployments", len(next.GetDeployments()))
	}
}

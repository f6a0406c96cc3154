package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "reprise/api/admin/v1"
)

// routes are the paths of the API and the methods of each. The gateway knows them, too, but does not tell.
type routes []route

type route struct {
	segments []string // "{...}" matches anything
	methods  []string // sorted
}

// deploymentPath has a method that only version 2 serves.
const deploymentPath = "/deployments/{deployment}"

// binding is where a call is on this API.
type binding struct {
	method, path string
	body         string // "*": the body is the request; else the field that it is; "": there is none
}

// params are the names within {} of the path.
func (b binding) params() map[string]bool {
	out := map[string]bool{}
	for segment := range strings.SplitSeq(b.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			out[strings.TrimSuffix(name, "}")] = true
		}
	}
	return out
}

// bindingOf reads the annotation of a call.
func bindingOf(call protoreflect.MethodDescriptor) (binding, error) {
	rule, _ := proto.GetExtension(call.Options(), annotations.E_Http).(*annotations.HttpRule)
	b := binding{body: rule.GetBody()}
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		b.method, b.path = http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		b.method, b.path = http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		b.method, b.path = http.MethodPut, p.Put
	case *annotations.HttpRule_Patch:
		b.method, b.path = http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		b.method, b.path = http.MethodDelete, p.Delete
	default:
		return b, fmt.Errorf("%s has no usable path", call.FullName())
	}
	return b, nil
}

// newRoutes reads the annotations of the services.
func newRoutes() (routes, error) {
	methods := map[string][]string{}
	for _, call := range allCalls() {
		b, err := bindingOf(call)
		if err != nil {
			return nil, err
		}
		methods[b.path] = append(methods[b.path], b.method)
	}
	var rs routes
	for path, ms := range methods {
		if slices.Contains(ms, http.MethodGet) {
			ms = append(ms, http.MethodHead)
		}
		if path == deploymentPath {
			ms = append(ms, http.MethodPut) // see front
		}
		slices.Sort(ms)
		rs = append(rs, route{segments: strings.Split(path, "/"), methods: ms})
	}
	return rs, nil
}

// allCalls are those of all services of the API.
func allCalls() (all []protoreflect.MethodDescriptor) {
	for _, file := range []protoreflect.FileDescriptor{
		adminv1.File_admin_v1_admin_proto, adminv1.File_admin_v1_invocations_proto,
		adminv1.File_admin_v1_kafka_proto, adminv1.File_admin_v1_limits_proto,
	} {
		for s := range file.Services().Len() {
			methods := file.Services().Get(s).Methods()
			for m := range methods.Len() {
				all = append(all, methods.Get(m))
			}
		}
	}
	return all
}

// allow lists the methods of a path as the header of that name does.
func (rs routes) allow(path string) string {
	segments := strings.Split(path, "/")
	for _, r := range rs {
		if r.matches(segments) {
			return strings.Join(r.methods, ",")
		}
	}
	return ""
}

func (r route) matches(path []string) bool {
	return slices.EqualFunc(r.segments, path, func(mine, other string) bool {
		return mine == other || strings.HasPrefix(mine, "{") && other != ""
	})
}

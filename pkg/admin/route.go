package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"

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

// newRoutes reads the annotations of the service.
func newRoutes() (routes, error) {
	methods := map[string][]string{"/health": {http.MethodGet}}
	calls := adminv1.File_admin_v1_admin_proto.Services().ByName("Admin").Methods()
	for i := range calls.Len() {
		rule, _ := proto.GetExtension(calls.Get(i).Options(), annotations.E_Http).(*annotations.HttpRule)
		var method, path string
		switch p := rule.GetPattern().(type) {
		case *annotations.HttpRule_Get:
			method, path = http.MethodGet, p.Get
		case *annotations.HttpRule_Post:
			method, path = http.MethodPost, p.Post
		case *annotations.HttpRule_Patch:
			method, path = http.MethodPatch, p.Patch
		case *annotations.HttpRule_Delete:
			method, path = http.MethodDelete, p.Delete
		default:
			return nil, fmt.Errorf("%s has no usable path", calls.Get(i).FullName())
		}
		methods[path] = append(methods[path], method)
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

package admin_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"reprise/pkg/admin"
)

const unknownSubscription = "sub_15lmC3ZiNbVN0HxhnHeYxzz"

// What is not built has the shapes of the contract while it is empty, and refuses what would change it.
func TestNotBuilt(t *testing.T) {
	a := newAPI(t)
	misshapen := expectation{status: 422, contentType: textType, body: "Failed to deserialize the JSON body into the target type: "}
	notBuilt := expectation{status: 501, contentType: jsonType, body: "not supported by this server yet"}
	unknown := func(text string) expectation { return expectation{status: 404, contentType: jsonType, body: text} }
	for _, row := range []struct {
		method, path, body string
		want               expectation
	}{
		{"GET", "/subscriptions", "", expectation{status: 200, body: `{"subscriptions":[]}`}},
		{"GET", "/v2/subscriptions?sink=service://A/b&source=x", "", expectation{status: 200, body: `{"subscriptions":[]}`}},
		{"GET", "/subscriptions?sink=a&sink=b", "", expectation{status: 400, contentType: textType, body: "duplicate field `sink`"}},
		{"GET", "/subscriptions/" + unknownSubscription, "", unknown("The requested subscription '" + unknownSubscription + "' does not exist")},
		{"DELETE", "/subscriptions/" + unknownSubscription, "", unknown("subscription with id '" + unknownSubscription + "'")},
		{"GET", "/subscriptions/foo", "", expectation{status: 400, contentType: textType, body: "Invalid URL: Cannot parse `subscription` with value `foo`: bad format"}},
		{"DELETE", "/subscriptions/sub_x", "", expectation{status: 400, contentType: textType, body: "unrecognized codec version"}},
		{"POST", "/subscriptions", `{"source":"kafka://c/t","sink":"service://S/h"}`, notBuilt},
		{"POST", "/subscriptions", `{"source":"kafka://c/t"}`, misshapen},
		{"POST", "/subscriptions", `{"sink":"service://S/h"}`, misshapen},
		{"PATCH", "/subscriptions", "{}", expectation{status: 405, body: "-", allow: "GET,HEAD,POST"}},
		{"PUT", "/subscriptions/" + unknownSubscription, "{}", expectation{status: 405, body: "-", allow: "DELETE,GET,HEAD"}},

		{"GET", "/kafka-clusters", "", expectation{status: 200, body: `{"clusters":[]}`}},
		{"GET", "/kafka-clusters/c1", "", unknown("The requested Kafka cluster 'c1' does not exist")},
		{"GET", "/kafka-clusters/c1?include_subscriptions=true", "", unknown("'c1'")},
		{"GET", "/kafka-clusters/c1?include_subscriptions=x", "", expectation{status: 400, contentType: textType, body: "include_subscriptions: provided string was not `true` or `false`"}},
		{"POST", "/kafka-clusters", `{"name":"c1","properties":{"bootstrap.servers":"b:1"}}`, notBuilt},
		{"POST", "/kafka-clusters", `{"name":"c1","properties":{}}`, expectation{status: 400, contentType: jsonType, body: "bootstrap.servers"}},
		{"POST", "/kafka-clusters", `{"name":"c1"}`, misshapen},
		{"POST", "/kafka-clusters", `{"properties":{}}`, misshapen},
		{"PATCH", "/kafka-clusters/c1", `{"properties":{"bootstrap.servers":"b:1"}}`, unknown("'c1'")},
		{"PATCH", "/kafka-clusters/c1", `{}`, misshapen},
		{"DELETE", "/kafka-clusters/c1?force=true", "", unknown("kafka cluster named 'c1'")},
		{"DELETE", "/kafka-clusters/c1?force=x", "", expectation{status: 400, contentType: textType, body: "force: "}},

		{"PUT", "/limits/rules", `[]`, expectation{status: 200, contentType: jsonType, body: `[]`}},
		{"PUT", "/limits/rules", `{}`, misshapen},
		{"PUT", "/limits/rules", `[{"limits":{"concurrency":1}}]`, misshapen},
		{"PUT", "/limits/rules", `[{"pattern":"a//"}]`, misshapen},
		{"PUT", "/limits/rules", `[{"pattern":"a/*","limits":{"concurrency":1},"precondition":{"type":"matches","version":3}}]`, notBuilt},
		{"PUT", "/limits/rules", `[{"pattern":"a/*","limits":{"concurrency":-1}}]`, misshapen},
		{"POST", "/limits/rules/bulk-delete", `[]`, expectation{status: 200, contentType: jsonType, body: `[]`}},
		{"POST", "/limits/rules/bulk-delete", `[{"pattern":"a/*","expected_version":3}]`, expectation{status: 200, contentType: jsonType, body: `[]`}},
		{"POST", "/limits/rules/bulk-delete", `[{}]`, misshapen},
		{"GET", "/limits/rules", "", expectation{status: 405, body: "-", allow: "PUT"}},
		{"GET", "/limits/rules/bulk-delete", "", expectation{status: 405, body: "-", allow: "POST"}},
		{"POST", "/vqueues/x/pause", "", expectation{status: 400, contentType: jsonType, body: "The request field 'vqueue_id' is invalid. Reason: bad format"}},
		{"POST", "/vqueues/vq_1/pause", "", notBuilt},
		{"POST", "/vqueues/vq_1/resume", "", notBuilt},
		{"GET", "/vqueues/vq_1/resume", "", expectation{status: 405, body: "-", allow: "POST"}},
	} {
		t.Run(row.method+" "+row.path+" "+row.body, func(t *testing.T) { row.want.check(t, a.ask(row.method, row.path, row.body)) })
	}
}

func TestClusterHealth(t *testing.T) {
	members, ok := []uint32{1, 3}, true
	a := newAPI(t, func(c *admin.Config) {
		c.Health = func() (string, []uint32, bool) { return "blue", members, ok }
	})
	expectation{status: 200, contentType: jsonType, body: `{"cluster_name":"blue","metadata_cluster_health":{"members":[1,3]}}`}.
		check(t, a.ask("GET", "/cluster-health", ""))
	ok = false
	expectation{status: 503, contentType: textType}.check(t, a.ask("GET", "/v2/cluster-health", ""))
	expectation{status: 503, contentType: textType}.check(t, newAPI(t).ask("GET", "/cluster-health", ""))
}

func TestUI(t *testing.T) {
	a := newAPI(t)
	for path, to := range map[string]string{"/": "/ui/", "/ui": "/ui/", "/ui?a=b": "/ui/?a=b", "/?a=b": "/ui/?a=b", "/v2": "/ui/", "/v3/ui": "/ui/"} {
		r := a.ask("GET", path, "")
		expectation{status: 308, body: "-"}.check(t, r)
		if r.Header.Get("Location") != to {
			t.Errorf("%s leads to %s", path, r.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/ui/", "/v4/ui/", "/ui/assets/nope.js"} {
		r := a.ask("GET", path, "")
		expectation{status: 200, contentType: "text/html; charset=utf-8", body: "openapi"}.check(t, r)
		if r.Header.Get("Service-Worker-Allowed") != "/" {
			t.Errorf("%s: %v", path, r.Header)
		}
	}
	expectation{status: 405, body: "-", allow: "GET,HEAD"}.check(t, a.ask("POST", "/", ""))
	none := newAPI(t, func(c *admin.Config) { c.DisableWebUI = true })
	for _, path := range []string{"/", "/ui", "/ui/", "/v2"} {
		expectation{status: 404, body: "-"}.check(t, none.ask("GET", path, ""))
	}
}

// Which form a client gets that takes several.
func TestCompressionChoice(t *testing.T) {
	a := newAPI(t)
	plain := a.ask("GET", "/version", "", "Accept-Encoding", "identity").body
	for accept, want := range map[string]string{
		"gzip": "gzip", "zstd": "zstd", "gzip, deflate, br, zstd": "zstd", "gzip;q=0.5, zstd;q=0.4": "gzip",
		"gzip;q=0": "", "br": "", "deflate": "",
	} {
		r := a.ask("GET", "/version", "", "Accept-Encoding", accept)
		if got := r.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%s: %q", accept, got)
		}
		if want != "zstd" {
			continue
		}
		dec, err := zstd.NewReader(strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(dec); err != nil || b.String() != plain {
			t.Errorf("%s: %v: %s", accept, err, b.String())
		}
		dec.Close()
	}
	if r := a.ask("GET", "/services", "", "Accept-Encoding", "gzip"); r.body != `{"services":[]}` {
		t.Errorf("%d bytes in place of 15", len(r.body))
	}
}

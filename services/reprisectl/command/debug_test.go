package command_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reprise/services/reprisectl/command"
)

// nodeBundle answers like the fabric port of a node; cut ends the answer too early.
func nodeBundle(t *testing.T, cut bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/debug/bundle" {
			http.NotFound(w, r)
			return
		}
		zipped := gzip.NewWriter(w)
		files := tar.NewWriter(zipped)
		for _, f := range []struct{ name, text string }{{"config.toml", "a = 1\n"}, {"../../log.txt", "it began\n"}} {
			if err := errors.Join(
				files.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o600, Size: int64(len(f.text))}),
				func() error { _, err := files.Write([]byte(f.text)); return err }(),
				files.Flush(), zipped.Flush(),
			); err != nil {
				t.Error(err)
			}
		}
		if cut {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		if err := errors.Join(files.Close(), zipped.Close()); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for files := tar.NewReader(zipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(text)
	}
}

// A bundle holds what came: of nodes that are gone, or break off, why there is no more.
func TestDebugBundle(t *testing.T) {
	whole, broken := nodeBundle(t, false), nodeBundle(t, true)
	f := &fake{answers: map[string]string{"Peers": "{}", "Logs": `{"logs": [{"version": 40}]}`}, errors: map[string]error{}}
	address := f.start(t, false)
	f.answers["Overview"] = `{"nodesVersion": 12, "nodes": [
		{"id": 1, "name": "n1", "address": "` + whole.URL + `"},
		{"id": 2, "name": "n/2", "address": "` + broken.URL + `"},
		{"id": 3, "name": "n3", "address": "http://127.0.0.1:1"}]}`
	out := filepath.Join(t.TempDir(), "b.tar.gz")
	run := func() (string, int) {
		var text strings.Builder
		code := command.Run(t.Context(), []string{"-s", address, "debug", "bundle", "--output", out}, command.Env{Out: &text, Err: &text})
		return text.String(), code
	}
	if text, code := run(); code != 0 || !strings.Contains(text, "1 of 3 nodes") || !strings.Contains(text, "n-2") {
		t.Fatalf("%d: %s", code, text)
	}
	got := unpack(t, out)
	for name, want := range map[string]string{
		"cluster/overview.json": `"n1"`, "cluster/logs.json": `40`, "nodes/n1/config.toml": "a = 1\n", "nodes/n1/..-..-log.txt": "it began\n",
		"nodes/n-2/config.toml": "a = 1\n", "nodes/n-2/error.txt": "ends too early", "nodes/n3/error.txt": "connection refused",
	} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s: %q lacks %q", name, got[name], want)
		}
	}
	if text, code := run(); code == 0 || !strings.Contains(text, "--output") || !strings.Contains(text, "exists") {
		t.Errorf("over a file that is there: %d: %s", code, text)
	}
}

// Without a metadata daemon the nodes of --address are asked.
func TestDebugBundleAlone(t *testing.T) {
	node := nodeBundle(t, false)
	f := &fake{answers: map[string]string{}, errors: map[string]error{"Peers": status.Error(codes.Unavailable, "no quorum")}}
	out := filepath.Join(t.TempDir(), "b.tar.gz")
	var text strings.Builder
	at := strings.TrimPrefix(node.URL, "http://")
	code := command.Run(t.Context(), []string{"-s", f.start(t, false) + "," + at, "debug", "bundle", "-o", out}, command.Env{Out: &text, Err: &text})
	if code != 0 || !strings.Contains(text.String(), "1 of 2 nodes") {
		t.Fatalf("%d: %s", code, text.String())
	}
	got := unpack(t, out)
	if got["nodes/"+strings.ReplaceAll(at, ":", "-")+"/config.toml"] != "a = 1\n" || !strings.Contains(got["cluster/error.txt"], "no metadata daemon answers") {
		t.Errorf("%v", got)
	}
}

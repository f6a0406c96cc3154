package e2e

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// another describes one more metadata daemon of a form.
func another(t *testing.T, f *harness.Form, like *harness.Process, name string, settings ...string) *harness.Process {
	t.Helper()
	var at [3]string
	for i := range at {
		var err error
		at[i], err = env.ports.Take()
		ok(t, err)
	}
	port := func(i int) string { return at[i][strings.LastIndexByte(at[i], ':')+1:] }
	p := harness.NewProcess(harness.Spec{
		Name: name, Path: env.bins.Path("reprise-metadata"), Dir: f.Dir, Addrs: at[:], Ready: []string{"http://" + at[0] + "/health"},
		Env: append(like.Settings(), append([]string{
			"RESTATE_NODE_NAME=" + name, "RESTATE_BASE_DIR=" + filepath.Join(f.Dir, name), "RESTATE_BIND_ADDRESS=" + at[0], "RESTATE_ADVERTISED_ADDRESS=http://" + at[0],
			"RESTATE_METADATA_SERVER__PEER_PORT=" + port(1), "RESTATE_METADATA_SERVER__CLIENT_PORT=" + port(2), "RESTATE_AUTO_PROVISION=false",
		}, settings...)...),
	})
	f.Processes = append(f.Processes, p)
	return p
}

// The metadata quorum grows from one member to three, one that comes by itself and one that an operator lets in, and the first
// one is taken out of it; clients notice nothing.
func TestMetadataMembers(t *testing.T) {
	f := newForm(t, "daemons")
	first := f.Processes[0]
	at := fabricOf(first)
	says := func(line, want string) string {
		t.Helper()
		var last string
		ok(t, harness.Wait(t.Context(), time.Minute, line+" says "+want, func(context.Context) error {
			last, _ = ctl(t, append([]string{"-s", at}, strings.Fields(line)...)...)
			if !regexp.MustCompile(want).MatchString(last) {
				return errors.New(last)
			}
			return nil
		}))
		return last
	}
	idOf := func(name string) string {
		t.Helper()
		return regexp.MustCompile(` N(\d+) +N\d+:\d+ +` + name + ` `).FindStringSubmatch(says("nodes list", " "+name+" "))[1]
	}
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	c := harness.NewClient(f)
	t.Cleanup(c.Close)
	ok(t, c.Register(t.Context(), endpoint.URI))

	says("-y metadata-server remove-node "+idOf("metadata"), `only member of the metadata quorum`)
	says("-y metadata-server add-node "+idOf("worker-1"), `is no metadata daemon`)
	says("-y metadata-server remove-node "+idOf("worker-1"), `node worker-1 is no member of the metadata quorum`)
	says("-y metadata-server add-node 99", `there is no node N99`)
	says("-y metadata-server remove-node", `<NODES>`)

	second := another(t, f, first, "metadata-2")
	ok(t, second.Restart(t.Context()))
	says("metadata-server list", ` metadata-2 +Member .*\n`)
	third := another(t, f, first, "metadata-3", "RESTATE_METADATA_SERVER__AUTO_JOIN=false")
	ok(t, third.Restart(t.Context()))
	if out := says("metadata-server list", `metadata-2`); strings.Contains(out, "metadata-3") {
		t.Errorf("nobody let it in:\n%s", out)
	}
	says("-y metadata-server add-node "+idOf("metadata-3"), `comes into the metadata quorum`)
	says("metadata-server list", ` metadata-3 +Member .*\n`)
	ok(t, c.Call(t.Context(), "Box/members/clear", "x", nil))

	ok(t, second.Kill())
	says("-y metadata-server remove-node "+idOf("metadata-3"), `metadata-2 does not answer: start it first\n.*without it 1 of 2 members would answer`)
	ok(t, second.Restart(t.Context())) // as a member that it was
	says("metadata-server list", ` metadata-2 +Member +3`)
	at = fabricOf(second)
	says("-y metadata-server remove-node "+idOf("metadata"), `is no member of the metadata quorum any more`)
	if out := says("metadata-server list", `metadata-2`); regexp.MustCompile(`\n metadata +`).MatchString(out) {
		t.Errorf("the first one is there still:\n%s", out)
	}
	ok(t, harness.Wait(t.Context(), time.Minute, "its process ends", func(context.Context) error {
		if first.Ended() == nil {
			return errors.New("it runs")
		}
		return nil
	}))
	_ = first.Kill() // it ended by itself
	f.Processes = f.Processes[1:]
	says("-y nodes remove --nodes "+idOf("metadata"), `was removed`)
	ok(t, c.Call(t.Context(), "Box/members/clear", "x", nil))
	refused(t, first, `removed`)
}

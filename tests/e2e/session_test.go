package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// cliCase is a call of a command line: words as in a shell, with names for what is known only when the test runs
// ($naps is the invocation of Desk/naps). Afterwards each of says, an expression, has to match what it wrote.
type cliCase struct {
	line  string
	exit  int
	says  []string
	not   []string // expressions that may not match
	edits string   // what the user's editor does to the file: a script of sed
	keep  string   // an expression with groups that name parts of the answer for later
	waits bool     // the effect of the case before comes a moment later: ask until the answer is right
}

// session is a user with a command line and a server that answers it.
type session struct {
	program string
	first   []string // arguments that each call begins with
	env     []string // where the server is
	home    string
	names   map[string]string
}

// newSession starts the endpoints that a session registers.
func newSession(t *testing.T, program string, form *harness.Form) *session {
	t.Helper()
	root, err := harness.Root()
	ok(t, err)
	greeter, err := env.ports.Take()
	ok(t, err)
	startGreeter(t, root, greeter)
	endpoint, err := harness.Serve(desk()...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	return &session{
		program: program, env: []string{"RESTATE_ADMIN_URL=" + form.Admin, "RESTATE_INGRESS_URL=" + form.Ingress}, home: t.TempDir(),
		names: map[string]string{"admin": form.Admin, "ingress": form.Ingress, "greeterURL": "http://" + greeter, "deskURL": endpoint.URI},
	}
}

func (s *session) play(t *testing.T, cases []cliCase) {
	t.Helper()
	for _, c := range cases {
		limit := time.Duration(0)
		if c.waits {
			limit = 20 * time.Second
		}
		var last error
		try := func(ctx context.Context) error {
			last = s.call(ctx, c)
			return last
		}
		if limit == 0 {
			_ = try(t.Context()) // it is in last
		} else if err := harness.Wait(t.Context(), limit, c.line, try); err != nil {
			last = err
		}
		if last != nil {
			t.Errorf("%s: %v", c.line, last)
		}
	}
}

// run runs the program.
func (s *session) run(ctx context.Context, c cliCase) (stdout, stderr string, code int, err error) {
	cmd := exec.CommandContext(ctx, s.program, append(slices.Clone(s.first), s.words(c.line)...)...)
	cmd.Dir = s.home
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home}, s.env...)
	if c.edits != "" {
		editor := filepath.Join(s.home, "editor")
		if err := os.WriteFile(editor, []byte("#!/bin/sh\nexec sed -i '"+c.edits+"' \"$1\"\n"), 0o755); err != nil { //nolint:gosec // it is run
			return "", "", 0, err
		}
		cmd.Env = append(cmd.Env, "EDITOR="+editor)
	}
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return "", "", 0, err
	}
	return string(out), errOut.String(), cmd.ProcessState.ExitCode(), nil
}

// call runs the program once and compares what it says.
func (s *session) call(ctx context.Context, c cliCase) error {
	_, err := s.said(ctx, c)
	return err
}

// said is call, and returns what the program said.
func (s *session) said(ctx context.Context, c cliCase) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	stdout, stderr, code, err := s.run(ctx, c)
	if err != nil {
		return "", err
	}
	said := plainly(stdout + stderr)
	return said, s.compare(c, stdout, said, code)
}

// compare compares what the program said with what it should say.
func (s *session) compare(c cliCase, stdout, said string, code int) error {
	if code != c.exit {
		return fmt.Errorf("exit code %d, not %d:\n%s", code, c.exit, said)
	}
	for _, want := range c.says {
		text := said
		if strings.HasPrefix(want, "^") { // what scripts read
			text = plainly(stdout)
		}
		if !regexp.MustCompile(s.fill(want, regexp.QuoteMeta)).MatchString(text) {
			return fmt.Errorf("says nothing like %s:\n%s", want, said)
		}
	}
	for _, no := range c.not {
		if regexp.MustCompile(s.fill(no, regexp.QuoteMeta)).MatchString(said) {
			return fmt.Errorf("says %s:\n%s", no, said)
		}
	}
	if c.keep == "" {
		return nil
	}
	keep := regexp.MustCompile(s.fill(c.keep, regexp.QuoteMeta))
	found := keep.FindStringSubmatch(said)
	if found == nil {
		return fmt.Errorf("says nothing like %s:\n%s", c.keep, said)
	}
	for i, name := range keep.SubexpNames() {
		if name != "" {
			s.names[name] = found[i]
		}
	}
	return nil
}

// ansi are colours, and the spaces that fill up a table.
var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m|(?m: +$)")

func plainly(text string) string { return ansi.ReplaceAllString(text, "") }

// words splits a line as a shell does, as far as single quotes go, and fills names in. Inside quotes, two are one.
func (s *session) words(line string) []string {
	const quote = "\x00"
	var words []string
	for i, part := range strings.Split(strings.ReplaceAll(line, "''", quote), "'") {
		if i%2 == 1 {
			words = append(words, strings.ReplaceAll(part, quote, "'"))
			continue
		}
		for _, w := range strings.Fields(part) {
			words = append(words, s.fill(w, func(v string) string { return v }))
		}
	}
	return words
}

// namePattern is a name in a line or an expression, which has also $ for the end.
var namePattern = regexp.MustCompile(`\$[a-zA-Z]+`)

func (s *session) fill(text string, as func(string) string) string {
	return namePattern.ReplaceAllStringFunc(text, func(n string) string {
		if v, ok := s.names[n[1:]]; ok {
			return as(v)
		}
		return n
	})
}

// fillDesk makes an invocation for each state that one can be in, and names them.
func fillDesk(t *testing.T, form *harness.Form, names map[string]string) {
	t.Helper()
	c := harness.NewClient(form)
	t.Cleanup(c.Close)
	for _, handler := range []string{"fine", "breaks", "naps", "stumbles", "stops"} {
		inv, err := c.Send(t.Context(), "Desk/"+handler, handler)
		ok(t, err)
		names[handler] = inv
	}
	var err error
	names["asks"], err = c.Send(t.Context(), "Desk/asks", "k1")
	ok(t, err)
	names["trip"], err = c.Send(t.Context(), "Trip/t1/run", "walk")
	ok(t, err)
	ok(t, c.Call(t.Context(), "Counter/a/Add", 5, nil))
	settles := func(what, query string, want string) string {
		var got string
		ok(t, harness.Wait(t.Context(), 30*time.Second, what, func(ctx context.Context) (err error) {
			if got, err = c.Query(ctx, query); err == nil && !regexp.MustCompile(want).MatchString(got) {
				err = fmt.Errorf("%s answers %s, not %s", query, got, want)
			}
			return err
		}))
		return got
	}
	held := settles("the clerk", "SELECT id FROM sys_invocation WHERE target = 'Clerk/k1/holds' AND journal_size >= 3", `inv_\w+`)
	names["held"] = regexp.MustCompile(`inv_\w+`).FindString(held)
	names["waits"], err = c.Send(t.Context(), "Clerk/k1/holds", "second")
	ok(t, err)
	for name, status := range map[string]string{
		"fine": "completed", "breaks": "completed", "stumbles": "backing-off", "stops": "paused", "waits": "pending",
	} {
		settles(name, "SELECT status FROM sys_invocation WHERE id = '"+names[name]+"'", `"`+status+`"`)
	}
	for name, entries := range map[string]string{"naps": "4", "asks": "3", "trip": "2"} {
		settles(name, "SELECT journal_size FROM sys_invocation WHERE id = '"+names[name]+"'", `:`+entries+`}`)
	}
	names["gone"] = "inv_1foAirY4KKzi5uwGj4lxlDjrGorveM9sX4" // a good id of nothing
}

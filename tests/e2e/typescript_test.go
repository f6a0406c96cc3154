package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

// node is Node 22, as scripts/typescript installs it.
const node = "../node_modules/.bin/node"

// needTypeScript returns the program, and skips the test without it; in CI that is a failure.
func needTypeScript(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs(node)
	ok(t, err)
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the TypeScript SDK is not installed; run scripts/typescript")
		}
		t.Skip("the TypeScript SDK is not installed: npm is missing, or scripts/typescript did not run (make test runs it)")
	}
	return program
}

func TestTypeScriptService(t *testing.T) {
	program := needTypeScript(t)
	onShared(t, func(t *testing.T, c *harness.Client, _ *probe) {
		service := serveTypeScript(t, program)
		ok(t, c.Register(t.Context(), service))

		var hello string
		ok(t, c.Call(t.Context(), "TsGreeter/greet", "you", &hello))
		if hello != "Hello you" {
			t.Errorf("greet answers %q", hello)
		}

		var first, again struct{ Before, After float64 }
		ok(t, c.Call(t.Context(), "TsGreeter/slowly", 300, &first, "idempotency-key", "ts"))
		ok(t, c.Call(t.Context(), "TsGreeter/slowly", 300, &again, "idempotency-key", "ts"))
		if first != again || first.Before == 0 || first.After == 0 {
			t.Errorf("slowly answers %v, then %v", first, again)
		}

		var sums []int
		ok(t, c.Call(t.Context(), "TsGreeter/addAll", []string{"a", "b", "c"}, &sums))
		ok(t, c.Call(t.Context(), "TsGreeter/addAll", []string{"a", "b", "d"}, &sums))
		if want := []int{2, 2, 1}; !reflect.DeepEqual(sums, want) {
			t.Errorf("addAll answers %v, want %v", sums, want)
		}

		var status *harness.StatusError
		if err := c.Call(t.Context(), "TsGreeter/fail", "enough", nil); !errors.As(err, &status) || status.Status != http.StatusTeapot {
			t.Errorf("fail answers %v", err)
		}

		wakeTypeScript(t, c)
	})
}

// wakeTypeScript resolves an awakeable that a handler of the service waits for.
func wakeTypeScript(t *testing.T, c *harness.Client) {
	t.Helper()
	inv, err := c.Send(t.Context(), "TsCounter/w/wait", nil)
	ok(t, err)
	var id string
	ok(t, harness.Wait(t.Context(), 20*time.Second, "the awakeable", func(ctx context.Context) error {
		if err := c.Call(ctx, "TsCounter/w/awakeable", nil, &id); err != nil || id == "" {
			return fmt.Errorf("no id yet: %w", err)
		}
		return nil
	}))
	res, err := c.Do(t.Context(), harness.Request{URL: c.Form.Ingress + "/restate/awakeables/" + id + "/resolve", Body: "woken"})
	ok(t, err)
	if res.Status != http.StatusAccepted {
		t.Errorf("resolve: status %d: %s", res.Status, res.Body)
	}
	var out string
	ok(t, c.Attach(t.Context(), inv, &out))
	if out != "woken" {
		t.Errorf("the handler answers %q", out)
	}
}

// serveTypeScript starts the service on a free port and returns its address.
func serveTypeScript(t *testing.T, program string) string {
	t.Helper()
	addr, err := env.ports.Take()
	ok(t, err)
	_, port, err := net.SplitHostPort(addr)
	ok(t, err)
	source, err := filepath.Abs("typescript/service.ts")
	ok(t, err)
	p := harness.NewProcess(harness.Spec{
		Name: "typescript-" + filepath.Base(t.Name()), Path: program, Args: []string{source, port},
		Env: []string{"RESTATE_LOGGING=ERROR"}, Dir: env.dir, Addrs: []string{addr},
	})
	ok(t, p.Start())
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	ok(t, p.WaitListening(t.Context()))
	return "http://" + addr
}

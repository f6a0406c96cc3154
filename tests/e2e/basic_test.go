package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
)

func TestEcho(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, _ *probe) {
		var out string
		ok(t, c.Call(t.Context(), "Plain/echo", "hello", &out))
		if out != "hello" {
			t.Errorf("echo of hello is %q", out)
		}
	})
}

func TestStepsRunOnce(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, p *probe) {
		const steps = 9
		key := t.Name()
		var first, again []string
		ok(t, c.Call(t.Context(), "Plain/steps", Steps{Key: key, N: steps}, &first, "idempotency-key", key))
		ok(t, c.Call(t.Context(), "Plain/steps", Steps{Key: key, N: steps}, &again, "idempotency-key", key))
		if len(first) != steps || !reflect.DeepEqual(first, again) {
			t.Errorf("first answer %v, second %v", first, again)
		}
		for i := range steps {
			if n := p.count(fmt.Sprintf("%s/%d", key, i)); n != 1 {
				t.Errorf("step %d ran %d times", i, n)
			}
		}
	})
}

func TestSleepTakesItsTime(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, _ *probe) {
		const nap = 300 * time.Millisecond
		begin := time.Now()
		ok(t, c.Call(t.Context(), "Plain/steps", Steps{Key: t.Name(), N: 2, Millis: int(nap.Milliseconds())}, nil))
		if took := time.Since(begin); took < nap {
			t.Errorf("a sleep of %s took %s", nap, took)
		}
	})
}

func TestState(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, _ *probe) {
		object := "Box/" + t.Name()[len("TestState/"):]
		holds := func(want map[string]string) {
			t.Helper()
			var got map[string]string
			ok(t, c.Call(t.Context(), object+"/all", nil, &got))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("the state is %v, want %v", got, want)
			}
		}
		holds(map[string]string{})
		ok(t, c.Call(t.Context(), object+"/set", Entry{"a", "1"}, nil))
		ok(t, c.Call(t.Context(), object+"/set", Entry{"b", "2"}, nil))
		ok(t, c.Call(t.Context(), object+"/set", Entry{"a", "3"}, nil))
		holds(map[string]string{"a": "3", "b": "2"})
		ok(t, c.Call(t.Context(), object+"/clear", "a", nil))
		holds(map[string]string{"b": "2"})
		ok(t, c.Call(t.Context(), object+"/clearAll", nil, nil))
		holds(map[string]string{})
	})
}

func TestCallsReachOtherPartitions(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, _ *probe) {
		var keys []string
		var want []int
		for i := range 40 { // more than there are partitions
			keys = append(keys, fmt.Sprintf("call-%d", i))
			want = append(want, 1)
		}
		var got []int
		ok(t, c.Call(t.Context(), "Plain/calls", keys, &got))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("first additions to %d accounts: %v", len(keys), got)
		}
	})
}

func TestAwakeable(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, p *probe) {
		key := t.Name()
		inv, err := c.Send(t.Context(), "Plain/waits", key)
		ok(t, err)
		var id string
		select {
		case id = <-p.channel(key):
		case <-time.After(20 * time.Second):
			t.Fatal("the handler did not start")
		}
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
	})
}

func TestDelayedSend(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, p *probe) {
		key := t.Name()
		const delay = 300 * time.Millisecond
		begin := time.Now()
		var accepted struct {
			InvocationID string `json:"invocationId"`
		}
		ok(t, c.Call(t.Context(), fmt.Sprintf("Plain/steps/send?delay=%dms", delay.Milliseconds()), Steps{Key: key, N: 1}, &accepted))
		var out []string
		ok(t, c.Attach(t.Context(), accepted.InvocationID, &out))
		if took := time.Since(begin); took < delay || p.count(key+"/0") != 1 {
			t.Errorf("after %s, with %d runs; the delay was %s", took, p.count(key+"/0"), delay)
		}
	})
}

func TestFailuresAndRetries(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, p *probe) {
		key := t.Name()
		err := c.Call(t.Context(), "Plain/fails", key, nil)
		var status *harness.StatusError
		if !errors.As(err, &status) || status.Status != http.StatusInternalServerError {
			t.Errorf("a terminal error answers %v", err)
		}
		if n := p.count(key); n != 1 {
			t.Errorf("a terminal error was tried %d times", n)
		}
		var tries int
		ok(t, c.Call(t.Context(), "Plain/flaky", key+"/flaky", &tries))
		if tries != 3 {
			t.Errorf("the third attempt was to succeed, %d were made", tries)
		}
	})
}

func TestWorkflowRunsOnce(t *testing.T) {
	onShared(t, func(t *testing.T, c *harness.Client, p *probe) {
		const key = "w1"
		var out string
		ok(t, c.Call(t.Context(), "Flow/"+key+"/run", "a", &out))
		err := c.Call(t.Context(), "Flow/"+key+"/run", "b", nil)
		var status *harness.StatusError
		if !errors.As(err, &status) || status.Status != http.StatusConflict {
			t.Errorf("the second run answers %v", err)
		}
		res, err := c.Do(t.Context(), harness.Request{Method: http.MethodGet, URL: c.Form.Ingress + "/restate/workflow/Flow/" + key + "/output"})
		ok(t, err)
		if out != "done a" || string(res.Body) != `"done a"` || p.count("flow/"+key) != 1 {
			t.Errorf("answer %q, output %s, %d runs", out, res.Body, p.count("flow/"+key))
		}
	})
}

// A handler sleeps, every process is killed meanwhile, and the handler goes on where it was.
func TestKillDuringSleep(t *testing.T) {
	eachForm(t, func(t *testing.T, kind string) {
		form := newForm(t, kind)
		p := newProbe()
		endpoint, err := harness.Serve(services(p)...)
		ok(t, err)
		t.Cleanup(endpoint.Close)
		c := harness.NewClient(form)
		t.Cleanup(c.Close)
		ok(t, c.Register(t.Context(), endpoint.URI))

		key := t.Name()
		inv, err := c.Send(t.Context(), "Plain/steps", Steps{Key: key, N: 4, Millis: 1500})
		ok(t, err)
		select {
		case <-p.channel(key):
		case <-time.After(20 * time.Second):
			t.Fatal("the handler did not start")
		}
		for _, process := range form.Processes {
			ok(t, process.Kill())
		}
		c.Close()
		ok(t, form.Start(t.Context()))
		var out []string
		ok(t, attachLong(t.Context(), c, inv, &out))
		if len(out) != 4 {
			t.Errorf("the answer is %v", out)
		}
		for i := range 4 {
			if n := p.count(fmt.Sprintf("%s/%d", key, i)); n != 1 { // what a handler saw was stored before
				t.Errorf("step %d ran %d times", i, n)
			}
		}
	})
}

func attachLong(ctx context.Context, c *harness.Client, inv string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return c.Attach(ctx, inv, out)
}

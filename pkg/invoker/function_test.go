package invoker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/invoker/invokertest"
	"reprise/pkg/lambda"
	"reprise/pkg/lambda/lambdatest"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

const functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:greeter:7"

var _ Functions = (*lambda.Client)(nil)

// function deploys the code as a Lambda function, behind the real client and the Invoke API.
func function(t *testing.T, code lambdatest.Function, more ...option) (*loop, *lambdatest.Server) {
	t.Helper()
	aws := lambdatest.Serve(t)
	aws.Environment(t)
	aws.Deploy(functionARN, code)
	client, err := lambda.NewClient(lambda.Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	l := newLoop(t, "", append([]option{func(l *loop, d *storedv1.Deployment) {
		d.Bidi = false
		d.Lambda = &storedv1.Lambda{Arn: functionARN}
		d.AdditionalHeaders = []*storedv1.Header{{Name: "x-own", Value: "yes"}}
		l.cfg.Lambda = client
	}}, more...)...)
	return l, aws
}

func handlers(f func(p *peer)) lambdatest.Function {
	return lambdatest.Wrap(invokertest.Handler(invokertest.Options{}, f))
}

func TestFunction(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		l, aws := function(t, handlers(func(p *peer) {
			if _, done := p.Find(serviceproto.TypeRunCompletion); !done {
				p.Send(partitiontest.Run(1), proposal(1, "x"), partitiontest.Suspension([]uint32{1}, nil))
				return
			}
			output(p, p.Request.URL.Path+" "+p.Input()+" "+p.Types())
		}), func(l *loop, _ *storedv1.Deployment) { l.lazy = lazy })
		i := l.invoke(object("h", "k y"), "hello")
		l.wantValue(i, "/invoke/O/h hello Input Run RunCompletion")
		l.wantNothingHeld()
		var e lambdatest.Event
		if err := json.Unmarshal(aws.Calls()[0].Payload, &e); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"content-type": "application/vnd.restate.invocation.v6", "accept": "application/vnd.restate.invocation.v6", "x-own": "yes",
			"x-restate-invocation-id": i.String(), "x-restate-service-key": "k%20y", "x-restate-cluster-name": "test",
		} {
			if e.Headers[name] != want {
				t.Errorf("header %s is %q, want %q", name, e.Headers[name], want)
			}
		}
		if len(e.Headers) != 6 || e.Method != "POST" || !e.Base64 {
			t.Errorf("event %+v", e)
		}
	}
}

// What functions may do wrong is a failure of the attempt, and tried again.
func TestBadFunctions(t *testing.T) {
	text := func(s string) lambdatest.Function {
		return func(context.Context, []byte) ([]byte, error) { return []byte(s), nil }
	}
	for _, row := range []struct {
		name string
		code lambdatest.Function
		doc  string
		text string
	}{
		{"function error", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") }, "RT0010", `boom`},
		{"nothing", text(""), "RT0010", `the function answered nothing`},
		{"no envelope", text("<html>"), "RT0010", `the function's answer is not in the envelope of an endpoint`},
		{"status 404", text(`{"statusCode":404}`), "RT0012", `unexpected status 404 from the endpoint`},
		{"status 502", text(`{"statusCode":502}`), "RT0010", `the endpoint is unavailable: status 502`},
		{"status 429", text(`{"statusCode":429}`), "RT0023", `the endpoint limits its rate: status 429`},
		{"status 415", text(`{"statusCode":415}`), "RT0015", `the SDK does not support the protocol version agreed on at discovery: status 415`},
		{"no content type", text(`{"statusCode":200}`), "RT0012", `the endpoint answered with content-type "", not "application/vnd.restate.invocation.v6"`},
		{"no final message", text(`{"statusCode":200,"headers":{"content-type":"application/vnd.restate.invocation.v6"}}`), "RT0007", `without a final message`},
		{"garbage", text(`{"statusCode":200,"headers":{"content-type":"application/vnd.restate.invocation.v6"},"body":"` + strings.Repeat("no", 100) + `"}`), "RT0003", `the limit is 33816576`},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, aws := function(t, row.code)
			if f := l.wantFailure(l.invoke(service("h"), ""), row.doc); !strings.Contains(f.GetMessage(), row.text) {
				t.Errorf("%q, want %q", f.GetMessage(), row.text)
			}
			l.wantNothingHeld()
			if n := len(aws.Calls()); n != 3 {
				t.Errorf("%d attempts, want 3", n)
			}
		})
	}
}

func TestServerWithoutFunctions(t *testing.T) {
	l, aws := function(t, handlers(func(*peer) {}), func(l *loop, _ *storedv1.Deployment) { l.cfg.Lambda = nil })
	l.wantFailure(l.invoke(service("h"), ""), "RT0010")
	l.wantNothingHeld()
	if len(aws.Calls()) != 0 {
		t.Error("it was called")
	}
}

// A kill cancels the call.
func TestKilledFunction(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	l, _ := function(t, func(ctx context.Context, _ []byte) ([]byte, error) {
		close(begun)
		<-ctx.Done()
		close(gone)
		return nil, ctx.Err()
	})
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.propose(command.Header{Kind: command.Fail, ID: i, Incarnation: l.v.runs[i].Incarnation, Activation: l.v.runs[i].Activation.Activation, Attempt: 1},
		&storedv1.FailFacts{Failure: &storedv1.Failure{Code: 409, Message: "killed"}})
	l.settle("cancelled", gone)
	l.wantNothingHeld()
}

// A function that does not answer is given up after the abort timeout, which counts from the start, and the 5 s of a drain.
func TestFunctionThatHangs(t *testing.T) {
	var once sync.Once
	begun, gone := make(chan struct{}), make(chan struct{})
	answers := handlers(func(p *peer) { output(p, "ok") })
	first := true
	l, _ := function(t, func(ctx context.Context, payload []byte) ([]byte, error) {
		if !first {
			return answers(ctx, payload)
		}
		first = false
		once.Do(func() { close(begun) })
		<-ctx.Done()
		close(gone)
		return nil, ctx.Err()
	})
	i := l.invoke(service("h"), "")
	l.settle("begun", begun)
	l.advance(10*time.Minute + time.Second)
	if s := l.runState(i); s != stateFailing {
		t.Fatalf("state %d", s)
	}
	l.advance(5 * time.Second)
	l.settle("cancelled", gone)
	l.wantValue(i, "ok")
	l.wantNothingHeld()
}

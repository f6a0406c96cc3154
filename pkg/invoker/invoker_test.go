package invoker

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/invoker/h2"
	"reprise/pkg/partition/partitiontest"
)

func field(name, value string) h2.Field { return h2.Field{Name: name, Value: value} }

func counterValue(c prometheus.Counter) float64 { return testutil.ToFloat64(c) }

func output(p *peer, value string) { p.Send(partitiontest.Output(value), partitiontest.End()) }

func TestEcho(t *testing.T) {
	headers := make(chan http.Header, 1)
	uri := endpoint(t, func(p *peer) {
		headers <- p.Request.Header.Clone()
		if p.Request.URL.Path != "/base/invoke/S/h" {
			p.Writer.WriteHeader(http.StatusNotFound)
			return
		}
		output(p, p.Input())
	}, false)
	l := newLoop(t, uri+"/base/")
	i := l.invoke(service("h"), "hello")
	l.wantValue(i, "hello")
	l.wantNothingHeld()
	got := <-headers
	for name, want := range map[string]string{
		"content-type": "application/vnd.restate.invocation.v6", "accept": "application/vnd.restate.invocation.v6",
		"x-restate-invocation-id": i.String(), "x-restate-cluster-name": "test", "x-restate-service-key": "",
	} {
		if got.Get(name) != want {
			t.Errorf("header %s is %q, want %q", name, got.Get(name), want)
		}
	}
	inv, _ := l.state.Invocation(i)
	if inv.Row.Pin.GetProtocolVersion() != 6 || inv.Row.Pin.GetDeployment()[15] != 1 {
		t.Errorf("pin %v", inv.Row.Pin)
	}
}

func versions(low, high uint32, v7 bool) option {
	return func(l *loop, d *storedv1.Deployment) {
		d.MinProtocolVersion, d.MaxProtocolVersion = low, high
		if v7 {
			l.cfg.ProtocolMax = 7
		}
	}
}

func TestRunStep(t *testing.T) {
	cases := []struct {
		name    string
		option  option
		flag    bool
		content string
		want    string
	}{
		{"v5", versions(5, 5, true), true, "v5", "RunCompletion"},
		{"v6", versions(5, 7, false), true, "v6", "RunCompletion"},
		{"v7 with flag", versions(5, 7, true), true, "v7", "ProposeRunCompletionAck"},
		{"v7 without flag", versions(5, 7, true), false, "v7", "RunCompletion"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			uri := endpoint(t, func(p *peer) {
				var got []string
				for n := range uint32(3) {
					f := proposal(n+1, fmt.Sprint("v", n))
					if tc.flag {
						f = flagged(f)
					}
					p.Send(partitiontest.Run(n+1), f)
					answer, err := p.Next()
					if err != nil {
						return
					}
					got = append(got, answer.Type.String())
				}
				got = append(got, p.Request.Header.Get("content-type"))
				output(p, strings.Join(got, " "))
			}, false)
			l := newLoop(t, uri, tc.option)
			i := l.invoke(service("h"), "")
			l.wantValue(i, strings.Repeat(tc.want+" ", 3)+"application/vnd.restate.invocation."+tc.content)
			l.wantNothingHeld()
		})
	}
}

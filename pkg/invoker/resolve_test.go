package invoker

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	servicev1 "reprise/api/service/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/partition/partitiontest"
	"reprise/pkg/serviceproto"
)

// facts returns the facts of the Step record that has calls.
func (l *loop) facts() *storedv1.StepFacts {
	l.t.Helper()
	for _, r := range l.applied {
		var f storedv1.StepFacts
		if r.Kind == command.Step && f.UnmarshalVT(r.Facts) == nil && len(f.Callees) > 0 {
			return &f
		}
	}
	l.t.Fatal("no record has callees")
	return nil
}

func TestCallees(t *testing.T) {
	key := "idem"
	send := func(service, handler, key string, idempotency *string) []byte {
		return partitiontest.Frame(serviceproto.TypeOneWayCall, &servicev1.OneWayCallCommand{
			ServiceName: service, HandlerName: handler, Key: key, IdempotencyKey: idempotency, InvocationIdNotificationIdx: 1, InvokeTime: 1 << 50,
		})
	}
	l := newLoop(t, endpoint(t, func(p *peer) {
		p.Send(send("S", "other", "", nil), send("S", "other", "", &key), send("O", "h", "k", nil), send("O", "shared", "k", &key),
			send("W", "run", "w", &key), partitiontest.Output("ok"), partitiontest.End())
	}, false))
	l.wantValue(l.invoke(service("h"), ""), "ok")
	got := l.facts().Callees
	if len(got) != 5 {
		t.Fatalf("%d callees", len(got))
	}
	at := func(n int) (i id.Invocation) { copy(i[:], got[n].Id); return i }
	if p := id.PartitionOf(at(0).PartitionKey(), partitions); p != 0 {
		t.Errorf("a plain callee lives in partition %d, its caller in 0", p)
	}
	bucket := false
	for n := range uint16(id.Buckets) {
		bucket = bucket || id.BucketKey("S", n) == at(0).PartitionKey()
	}
	if !bucket {
		t.Error("a plain callee lives in no bucket of its service")
	}
	for n, want := range map[int]id.Invocation{
		1: id.IdempotentInvocation("S", "", false, "other", key),
		3: id.IdempotentInvocation("O", "k", true, "shared", key),
		4: id.WorkflowInvocation("W", "w"),
	} {
		if at(n) != want {
			t.Errorf("callee %d is %s, want %s", n, at(n), want)
		}
	}
	if at(2).PartitionKey() != id.Hash("k") {
		t.Error("a callee with a key does not live where the key does")
	}
	for n, c := range got {
		f := c.Facts
		if f.ExecuteAtMs != 1<<50 || f.CompletionRetentionMs == 0 || f.JournalRetentionMs == 0 || f.Target.GetServiceType() == 0 {
			t.Errorf("facts of callee %d: %v", n, f)
		}
		if (f.IdempotencyKey != nil) != (n == 1 || n >= 3) {
			t.Errorf("idempotency key of callee %d: %v", n, f.IdempotencyKey)
		}
	}
	if tt := got[2].Facts.Target; tt.GetKey() != "k" || tt.GetHandlerType() != storedv1.HandlerType_HANDLER_TYPE_EXCLUSIVE {
		t.Errorf("target %v", tt)
	}
	l.wantNothingHeld()
}

// A call to a service that is registered later heals by itself.
func TestCallOfAServiceThatIsRegisteredLater(t *testing.T) {
	var l *loop
	uri := endpoint(t, func(p *peer) {
		if p.Attempt == 2 {
			d := deployment(1, "http://"+p.Request.Host)
			d.Services = append(d.Services, &storedv1.Service{
				Name: "Late", Type: storedv1.ServiceType_SERVICE_TYPE_SERVICE, Revision: 1, Handlers: []*storedv1.Handler{{Name: "h"}},
			})
			l.register(d)
		}
		p.Send(call("Late", "h", ""))
		for {
			f, err := p.Next()
			if err != nil {
				return
			}
			if f.Type == serviceproto.TypeCallInvocationIDCompletion {
				output(p, "ok")
				return
			}
		}
	}, false)
	l = newLoop(t, uri)
	l.wantValue(l.invoke(service("h"), ""), "ok")
	l.wantNothingHeldBut(1) // the callee, which runs for ever
}

// wantNothingHeldBut is wantNothingHeld when some others still run.
func (l *loop) wantNothingHeldBut(n int) {
	l.t.Helper()
	l.until("tokens given back", func() bool {
		running, _ := l.v.Running()
		return running <= n
	})
}

func TestBucketsOfAnotherPartition(t *testing.T) {
	b := buckets{known: map[bucketKey][]id.PartitionKey{}}
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.Uint32Range(1, 2000).Draw(t, "partitions")
		p := id.Partition(rapid.Uint32Range(0, partitions-1).Draw(t, "partition"))
		service := rapid.StringMatching(`[A-Z][a-z]{0,5}`).Draw(t, "service") + fmt.Sprint(partitions)
		key := b.pick(service, p, partitions, rapid.Uint64().Draw(t, "random"))
		there := b.known[bucketKey{service, p}]
		if len(there) > 0 && id.PartitionOf(key, partitions) != p {
			t.Fatalf("bucket of partition %d, not %d", id.PartitionOf(key, partitions), p)
		}
	})
}

// An invocation that has stored nothing moves to a new deployment; one that has does not.
func TestDeployments(t *testing.T) {
	fail := errorMessage(&servicev1.Error{Code: 500, Message: "no"})
	old := endpoint(t, func(p *peer) {
		switch p.Input() {
		case "pinned":
			if p.Attempt > 2 {
				output(p, "old")
				return
			}
			p.Send(partitiontest.Run(1), fail)
		default:
			p.Send(fail)
		}
	}, false)
	newer := endpoint(t, func(p *peer) { output(p, "new") }, false)
	l := newLoop(t, old)
	free, pinned := l.invoke(service("h"), "free"), l.invoke(service("h"), "pinned")
	l.until("failures", func() bool { return l.runState(free) == stateBackoff && l.runState(pinned) == stateBackoff })
	l.register(deployment(1, old), deployment(2, newer))
	l.wantValue(free, "new")
	l.wantValue(pinned, "old")
	l.wantNothingHeld()
}

func TestRemovedDeployment(t *testing.T) {
	delay := uint64(1000)
	uri := endpoint(t, func(p *peer) {
		if p.Attempt == 1 {
			p.Send(partitiontest.Run(1), errorMessage(&servicev1.Error{Code: 500, NextRetryDelay: &delay}))
			return
		}
		output(p, fmt.Sprint(p.Start.GetRetryCountSinceLastStoredEntry()))
	}, false)
	l := newLoop(t, uri)
	i := l.invoke(service("h"), "")
	l.until("failure", func() bool { return l.runState(i) == stateBackoff })
	l.register(deployment(2, uri))
	l.until("RT0011", func() bool { r := l.v.runs[i]; return r.failure.doc == "RT0011" && r.state == stateBackoff })
	l.register(deployment(1, uri))
	l.wantValue(i, "1") // what is not the handler's fault is not counted for it
	l.wantNothingHeld()
}

func TestNoCommonVersion(t *testing.T) {
	l := newLoop(t, endpoint(t, func(*peer) {}, false), versions(7, 7, false))
	l.until("RT0013", func() bool {
		for _, r := range l.v.runs {
			return r.failure != nil && r.failure.doc == "RT0013"
		}
		l.invoke(service("h"), "")
		return false
	})
	l.v.StopPartition(0)
	l.until("nothing", func() bool { running, _ := l.v.Running(); return running == 0 })
}

func TestUnsupportedDeployments(t *testing.T) {
	l := newLoop(t, "arn:aws:lambda:eu-central-1:1:function:f:1")
	l.wantFailure(l.invoke(service("h"), ""), "RT0010")
	l.wantNothingHeld()
	i := l.invoke(service("gone"), "")
	l.until("RT0011", func() bool { r := l.v.runs[i]; return r != nil && r.failure != nil && r.failure.doc == "RT0011" })
	l.v.StopPartition(0)
	l.wantNothingHeld()
}

// Headers of a deployment override all others; those of a connection are left alone.
func TestAdditionalHeaders(t *testing.T) {
	for _, http1 := range []bool{false, true} {
		for _, key := range []string{"", "mine"} {
			l := newLoop(t, endpoint(t, func(p *peer) {
				output(p, strings.Join([]string{
					p.Request.Header.Get("authorization"), p.Request.Header.Get("x-restate-cluster-name"), strings.Join(p.Request.Header.Values("x-restate-service-key"), ","),
				}, "|"))
			}, false), func(l *loop, d *storedv1.Deployment) {
				d.Http1 = http1
				d.AdditionalHeaders = []*storedv1.Header{
					{Name: "Authorization", Value: "Bearer x"}, {Name: "x-restate-cluster-name", Value: "mine"}, {Name: "Connection", Value: "close"},
				}
				if key != "" {
					l.cfg.AdditionalHeaders = append(l.cfg.AdditionalHeaders, field("x-restate-service-key", "of all deployments"))
					d.AdditionalHeaders = append(d.AdditionalHeaders, &storedv1.Header{Name: "X-Restate-Service-Key", Value: key})
				}
			})
			want := key
			if want == "" {
				want = "a%20b%2F%C3%BC~"
			}
			l.wantValue(l.invoke(object("h", "a b/ü~"), ""), "Bearer x|mine|"+want)
			l.wantNothingHeld()
		}
	}
}

func TestEagerState(t *testing.T) {
	lazyFlag := true
	cases := []struct {
		name   string
		option option
		want   string
	}{
		{"all", func(*loop, *storedv1.Deployment) {}, "a=1 b=22 c=333 partial=false"},
		{"exactly", func(l *loop, _ *storedv1.Deployment) { l.cfg.EagerStateBytesMax = 9 }, "a=1 b=22 c=333 partial=false"},
		{"one less", func(l *loop, _ *storedv1.Deployment) { l.cfg.EagerStateBytesMax = 8 }, "a=1 b=22 partial=true"},
		{"first too big", func(l *loop, _ *storedv1.Deployment) { l.cfg.EagerStateBytesMax = 1 }, "partial=true"},
		{"never", func(l *loop, _ *storedv1.Deployment) { l.cfg.EagerStateBytesMax = 0 }, "partial=true"},
		{"lazy handler", func(_ *loop, d *storedv1.Deployment) { d.Services[1].Options.EnableLazyState = &lazyFlag }, "partial=true"},
	}
	for _, tc := range cases {
		for _, lazy := range []bool{false, true} {
			t.Run(fmt.Sprint(tc.name, " lazy=", lazy), func(t *testing.T) {
				l := newLoop(t, endpoint(t, func(p *peer) {
					if p.Input() == "write" {
						p.Send(partitiontest.SetState("c", "333"), partitiontest.SetState("a", "1"), partitiontest.SetState("b", "22"),
							partitiontest.Output(p.Start.GetKey()), partitiontest.End())
						return
					}
					var b strings.Builder
					for _, e := range p.Start.GetStateMap() {
						fmt.Fprintf(&b, "%s=%s ", e.GetKey(), e.GetValue())
					}
					fmt.Fprintf(&b, "partial=%v", p.Start.GetPartialState())
					output(p, b.String())
				}, false), tc.option)
				l.lazy = lazy
				l.wantValue(l.invoke(object("h", "key"), "write"), "key")
				l.wantValue(l.invoke(object("h", "key"), "read"), tc.want)
				l.wantNothingHeld()
			})
		}
	}
}

func TestStartOfAPlainService(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) {
		s := p.Start
		output(p, fmt.Sprintf("%x %s %d %v %v %q %d", s.GetId(), s.GetDebugId(), s.GetKnownEntries(), s.GetPartialState(), s.GetStateMap(), s.GetKey(), s.GetRandomSeed()))
	}, false))
	i := l.invoke(service("h"), "")
	l.wantValue(i, fmt.Sprintf("%x %s 1 true [] \"\" %d", i[:], i, id.RandomSeed(i)))
	l.wantNothingHeld()
}

// A repeated or older Start changes nothing; a newer one replaces.
func TestStartIsIdempotent(t *testing.T) {
	l := newLoop(t, endpoint(t, func(p *peer) { <-p.Request.Context().Done() }, false))
	i := l.invoke(service("h"), "")
	l.turn()
	r := l.v.runs[i]
	a := r.Activation
	l.v.Start(a)
	older := a
	older.Activation--
	l.v.Start(older)
	l.v.Stop(i, a.Activation-1)
	if l.v.runs[i] != r || r.number != 1 {
		t.Fatal("a repeat changed something")
	}
	newer := a
	newer.Activation = lsn.LSN(100)
	l.v.Start(newer)
	if n := l.v.runs[i]; n.Activation.Activation != 100 || n.number != 2 {
		t.Fatalf("activation %d, attempt %d", n.Activation.Activation, n.number)
	}
	l.v.Stop(i, 100)
	l.wantNothingHeld()
}

package scen

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"reprise/tests/load/internal/load"
	"reprise/tests/load/internal/procfs"
	"reprise/tests/load/internal/report"
)

func orDefault(v, d int) int {
	if v == 0 {
		return d
	}
	return v
}

const mib = 1 << 20

// sendSleepers starts n invocations that sleep until the same moment.
func sendSleepers(ctx context.Context, t *Target, p Params, n int, wake time.Time) (load.Outcome, error) {
	d, err := load.NewDialer(t.Server.Ingress, p.Proto)
	if err != nil {
		return load.Outcome{}, err
	}
	o := load.Run(ctx, d, load.Spec{
		Concurrency: orDefault(p.Concurrency, 64), MaxOps: int64(n),
		Next: func(int, int64) *load.Request {
			ms := max(0, time.Until(wake).Milliseconds())
			return &load.Request{Path: "/Bench/sleep/send", Body: strconv.AppendInt(nil, ms, 10), ContentType: jsonType}
		},
	})
	if o.Errors > 0 {
		return o, fmt.Errorf("%d of %d invocations were not accepted: %w", o.Errors, n, o.FirstErr)
	}
	return o, nil
}

func sleepTimers(ctx context.Context, t *Target, p Params) (report.Result, error) {
	n := orDefault(p.N, 100_000)
	if err := t.control("/reset"); err != nil {
		return report.Result{}, err
	}
	// the sleep has to outlast the start of all of them: see how fast they start
	const probe = 2000
	begin := time.Now()
	if _, err := sendSleepers(ctx, t, p, probe, begin); err != nil {
		return report.Result{}, err
	}
	err := until(ctx, 2*time.Minute, 20*time.Millisecond, func() (bool, error) {
		s, err := t.stats()
		return s.Completed >= probe, err
	})
	if err != nil {
		return report.Result{}, err
	}
	each := time.Since(begin) / probe
	if err := t.control("/reset"); err != nil {
		return report.Result{}, err
	}
	base := procfs.ReadAll(t.Server.ProcessIDs())
	wake := time.Now().Add(15*time.Second + time.Duration(n)*each*2)
	m := startMeter(t)
	o, err := sendSleepers(ctx, t, p, n, wake)
	if err != nil {
		return report.Result{}, err
	}
	accepted := time.Since(m.start)
	err = until(ctx, time.Until(wake), 100*time.Millisecond, func() (bool, error) {
		s, err := t.stats()
		return s.Exited >= int64(n), err
	})
	if err != nil {
		return report.Result{}, fmt.Errorf("sleep longer: not all are suspended when the first wakes: %w", err)
	}
	suspended := time.Since(m.start)
	r := m.stop(int64(n))
	fill(&r, o, p, 3)
	r.Concurrency = orDefault(p.Concurrency, 64)
	time.Sleep(min(2*time.Second, max(0, time.Until(wake)-time.Second)))
	idleFrom := procfs.ReadAll(t.Server.ProcessIDs())
	idleAt := time.Now()
	time.Sleep(max(0, time.Until(wake)-500*time.Millisecond))
	asleep := procfs.ReadAll(t.Server.ProcessIDs())
	idleCPU := (asleep.CPU() - idleFrom.CPU()) / max(0.001, time.Since(idleAt).Seconds())

	time.Sleep(max(0, time.Until(wake)))
	woke := startMeter(t)
	err = until(ctx, 10*time.Minute, 100*time.Millisecond, func() (bool, error) {
		s, err := t.stats()
		return s.Completed >= int64(n), err
	})
	drained := time.Since(wake)
	w := woke.stop(int64(n))
	s, serr := t.stats()
	if err == nil {
		err = serr
	}
	slices.Sort(s.LagsMs)
	r.Extra = map[string]float64{
		"n":                        float64(n),
		"accept_s":                 accepted.Seconds(),
		"suspend_all_s":            suspended.Seconds(),
		"rss_base_mib":             float64(base.RSS) / mib,
		"rss_asleep_mib":           float64(asleep.RSS) / mib,
		"rss_bytes_per_invocation": (float64(asleep.RSS) - float64(base.RSS)) / float64(n),
		"server_cpu_share_asleep":  idleCPU,
		"wake_all_s":               drained.Seconds(),
		"wake_server_cpu_us_each":  w.Server.CPUMicrosPerOp,
		"wake_server_rss_peak_mib": float64(w.Server.RSSPeak) / mib,
		"wake_completed":           float64(s.Completed),
		"wake_lag_p50_ms":          quantile(s.LagsMs, 0.50),
		"wake_lag_p99_ms":          quantile(s.LagsMs, 0.99),
		"wake_lag_max_ms":          quantile(s.LagsMs, 1),
		"data_dir_mib":             float64(procfs.DirSize(t.Server.DataDir)) / mib,
	}
	return r, err
}

func quantile(sorted []int64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}

func replayLong(ctx context.Context, t *Target, p Params) (report.Result, error) {
	n, size, rounds := orDefault(p.N, 1000), orDefault(p.Size, 100), 5
	d, err := load.NewDialer(t.Server.Ingress, p.Proto)
	if err != nil {
		return report.Result{}, err
	}
	body := fmt.Appendf(nil, `{"n":%d,"size":%d}`, n, size)
	call := func(handler string) chan error {
		done := make(chan error, 1)
		go func() {
			c := d.Client()
			defer c.Close()
			rctx, cancel := context.WithTimeout(ctx, load.RequestTimeout)
			defer cancel()
			resp, err := c.Do(rctx, &load.Request{Path: "/Bench/" + handler, Body: body, ContentType: jsonType})
			if err == nil && resp.Status != 200 {
				err = fmt.Errorf("status %d: %s", resp.Status, resp.Body)
			}
			done <- err
		}()
		return done
	}
	arrivals := func(k int) (int64, error) {
		var at int64
		err := until(ctx, 60*time.Second, 2*time.Millisecond, func() (bool, error) {
			s, err := t.stats()
			if err != nil || len(s.Arrivals) < k {
				return false, err
			}
			at = s.Arrivals[k-1]
			return true, nil
		})
		return at, err
	}
	var write, cut, resume, cutCPU []float64
	m := startMeter(t)
	for range rounds {
		// a cut connection
		if err := t.control("/reset"); err != nil {
			return report.Result{}, err
		}
		if err := t.control("/gate/close"); err != nil {
			return report.Result{}, err
		}
		begin := time.Now()
		done := call("journal")
		first, err := arrivals(1)
		if err != nil {
			return report.Result{}, fmt.Errorf("writing the journal: %w", err)
		}
		write = append(write, float64(first-begin.UnixNano())/1e6)
		time.Sleep(300 * time.Millisecond) // let the last entries be stored
		before := procfs.ReadAll(t.Server.ProcessIDs())
		at := time.Now()
		if err := t.control("/kill-conns"); err != nil {
			return report.Result{}, err
		}
		second, err := arrivals(2)
		if err != nil {
			return report.Result{}, fmt.Errorf("replaying after a cut connection: %w", err)
		}
		cut = append(cut, float64(second-at.UnixNano())/1e6)
		after := procfs.ReadAll(t.Server.ProcessIDs())
		cutCPU = append(cutCPU, (after.CPU()-before.CPU())*1000)
		if err := t.control("/gate/open"); err != nil {
			return report.Result{}, err
		}
		if err := <-done; err != nil {
			return report.Result{}, err
		}
		// a suspension
		if err := t.control("/reset"); err != nil {
			return report.Result{}, err
		}
		done = call("suspend")
		var ids []string
		err = until(ctx, 60*time.Second, 5*time.Millisecond, func() (bool, error) {
			if len(ids) == 0 {
				if err := t.controlGet("/awakeables", &ids); err != nil {
					return false, err
				}
			}
			s, err := t.stats()
			return len(ids) > 0 && s.Exited > 0, err
		})
		if err != nil {
			return report.Result{}, fmt.Errorf("suspending: %w", err)
		}
		time.Sleep(200 * time.Millisecond)
		at = time.Now()
		c := d.Client()
		rctx, cancel := context.WithTimeout(ctx, load.RequestTimeout)
		resp, err := c.Do(rctx, &load.Request{Path: "/restate/awakeables/" + ids[0] + "/resolve", Body: []byte(`"go"`), ContentType: jsonType})
		cancel()
		c.Close()
		if err != nil {
			return report.Result{}, err
		}
		if resp.Status/100 != 2 {
			return report.Result{}, fmt.Errorf("resolving: status %d", resp.Status)
		}
		woke, err := arrivals(1)
		if err != nil {
			return report.Result{}, fmt.Errorf("replaying after a suspension: %w", err)
		}
		resume = append(resume, float64(woke-at.UnixNano())/1e6)
		if err := <-done; err != nil {
			return report.Result{}, err
		}
	}
	r := m.stop(int64(2 * rounds))
	r.Extra = map[string]float64{
		"entries": float64(n), "entry_bytes": float64(size),
		"write_journal_ms":        report.Median(write),
		"write_per_entry_us":      report.Median(write) * 1000 / float64(n),
		"resume_after_cut_ms":     report.Median(cut),
		"resume_after_cut_max_ms": slices.Max(cut),
		"cut_server_cpu_ms":       report.Median(cutCPU),
		"resume_suspended_ms":     report.Median(resume),
		"resume_suspended_max_ms": slices.Max(resume),
	}
	r.Notes = append(r.Notes, "the handler asks to be retried after 10 ms")
	return r, nil
}

func journalMemory(ctx context.Context, t *Target, p Params) (report.Result, error) {
	conc, n, size := orDefault(p.Concurrency, 100), orDefault(p.N, 100), orDefault(p.Size, 20<<10)
	d, err := load.NewDialer(t.Server.Ingress, p.Proto)
	if err != nil {
		return report.Result{}, err
	}
	if err := t.control("/reset"); err != nil {
		return report.Result{}, err
	}
	if err := t.control("/gate/close"); err != nil {
		return report.Result{}, err
	}
	base := procfs.ReadAll(t.Server.ProcessIDs())
	body := fmt.Appendf(nil, `{"n":%d,"size":%d}`, n, size)
	var out load.Outcome
	var wg sync.WaitGroup
	m := startMeter(t)
	wg.Go(func() {
		out = load.Run(ctx, d, load.Spec{Concurrency: conc, MaxOps: int64(conc), Next: func(int, int64) *load.Request {
			return &load.Request{Path: "/Bench/journal", Body: body, ContentType: jsonType}
		}})
	})
	err = until(ctx, 100*time.Second, 20*time.Millisecond, func() (bool, error) {
		s, err := t.stats()
		return len(s.Arrivals) >= conc, err
	})
	written := time.Since(m.start)
	time.Sleep(time.Second)
	held := procfs.ReadAll(t.Server.ProcessIDs())
	if e := t.control("/gate/open"); err == nil {
		err = e
	}
	wg.Wait()
	r := m.stop(out.Ops)
	fill(&r, out, p, n+2)
	r.Concurrency = conc
	time.Sleep(2 * time.Second)
	after := procfs.ReadAll(t.Server.ProcessIDs())
	total := float64(conc) * float64(n) * float64(size)
	r.Extra = map[string]float64{
		"journals": float64(conc), "entries_each": float64(n), "entry_bytes": float64(size),
		"journal_bytes_total_mib":    total / mib,
		"write_s":                    written.Seconds(),
		"write_mib_per_s":            total / mib / written.Seconds(),
		"rss_base_mib":               float64(base.RSS) / mib,
		"rss_held_mib":               float64(held.RSS) / mib,
		"rss_peak_mib":               float64(r.Server.RSSPeak) / mib,
		"rss_after_mib":              float64(after.RSS) / mib,
		"rss_per_journal_byte":       (float64(held.RSS) - float64(base.RSS)) / total,
		"disk_bytes_per_journalbyte": float64(r.Server.DiskWriteBytes) / total,
	}
	return r, err
}

func sqlScan(ctx context.Context, t *Target, p Params) (report.Result, error) {
	n := orDefault(p.N, 100_000)
	if err := suspendMany(ctx, t, p, n); err != nil {
		return report.Result{}, err
	}
	b, err := t.Server.Query(ctx, "SELECT id FROM sys_invocation LIMIT 1")
	if err != nil {
		return report.Result{}, err
	}
	var one struct {
		Rows []struct {
			ID string `json:"id"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(b, &one); err != nil || len(one.Rows) == 0 {
		return report.Result{}, fmt.Errorf("no invocation found: %s", b)
	}
	id := one.Rows[0].ID
	queries := []struct{ name, sql string }{
		{"count", "SELECT count(*) AS n FROM sys_invocation"},
		{"by_status", "SELECT status, count(*) AS n FROM sys_invocation GROUP BY status"},
		{"newest_100", "SELECT id, target, status, created_at FROM sys_invocation ORDER BY created_at DESC LIMIT 100"},
		{"filter_100", "SELECT id, target, status, created_at FROM sys_invocation WHERE target_service_name = 'Bench' AND status = 'suspended' LIMIT 100"},
		{"by_id", "SELECT * FROM sys_invocation WHERE id = '" + id + "'"},
		{"journal_by_id", "SELECT * FROM sys_journal WHERE id = '" + id + "'"},
		{"journal_count", "SELECT count(*) AS n FROM sys_journal"},
		{"status_join", "SELECT target_handler_name, min(created_at) AS oldest, count(*) AS n FROM sys_invocation WHERE modified_at > created_at GROUP BY target_handler_name"},
		{"all_ids", "SELECT id FROM sys_invocation"},
	}
	extra := map[string]float64{"n": float64(n)}
	var notes []string
	m := startMeter(t)
	var ran int64
	for _, q := range queries {
		var ms []float64
		var size int
		for range 5 {
			at := time.Now()
			b, err := t.Server.Query(ctx, q.sql)
			if err != nil {
				notes = append(notes, q.name+" failed: "+strings.TrimSpace(err.Error()))
				break
			}
			ms = append(ms, float64(time.Since(at).Microseconds())/1000)
			size = len(b)
			ran++
		}
		if len(ms) > 0 {
			extra["query_"+q.name+"_ms"] = report.Median(ms)
			extra["query_"+q.name+"_bytes"] = float64(size)
		}
	}
	r := m.stop(ran)
	r.Extra, r.Notes = extra, notes
	r.Extra["rss_peak_mib"] = float64(r.Server.RSSPeak) / mib
	return r, nil
}

func coldStart(ctx context.Context, t *Target, p Params) (report.Result, error) {
	rounds := orDefault(p.N, 5)
	s := t.Server
	s.Stop()
	var ready, registered, first, ready2, first2, rss, idle, cpu []float64
	m := startMeter(t)
	for range rounds {
		rctx, cancel := context.WithTimeout(ctx, 120*time.Second)
		begin := time.Now()
		since := func() float64 { return float64(time.Since(begin).Microseconds()) / 1000 }
		if err := s.Launch(true); err != nil {
			cancel()
			return report.Result{}, err
		}
		err := s.WaitReady(rctx)
		ready = append(ready, since())
		if err == nil {
			err = s.Register(rctx, t.ServicesURI)
			registered = append(registered, since())
		}
		if err == nil {
			err = s.WaitInvocation(rctx)
			first = append(first, since())
		}
		cancel()
		if err != nil {
			return report.Result{}, err
		}
		time.Sleep(2 * time.Second)
		u := procfs.ReadAll(s.ProcessIDs())
		rss = append(rss, float64(u.RSS)/mib)
		cpu = append(cpu, u.CPU())
		time.Sleep(2 * time.Second)
		u2 := procfs.ReadAll(s.ProcessIDs())
		idle = append(idle, (u2.CPU()-u.CPU())/2)
		s.Stop()

		rctx, cancel = context.WithTimeout(ctx, 120*time.Second)
		begin = time.Now()
		if err = s.Launch(false); err == nil {
			err = s.WaitReady(rctx)
			ready2 = append(ready2, since())
		}
		if err == nil {
			err = s.WaitInvocation(rctx)
			first2 = append(first2, since())
		}
		cancel()
		if err != nil {
			return report.Result{}, err
		}
		s.Stop()
	}
	r := m.stop(int64(rounds))
	r.Server = nil
	r.Extra = map[string]float64{
		"empty_ready_ms":      report.Median(ready),
		"empty_registered_ms": report.Median(registered),
		"empty_first_ms":      report.Median(first),
		"restart_ready_ms":    report.Median(ready2),
		"restart_first_ms":    report.Median(first2),
		"idle_rss_mib":        report.Median(rss),
		"idle_cpu_share":      report.Median(idle),
		"start_cpu_s":         report.Median(cpu),
	}
	return r, nil
}

func recovery(ctx context.Context, t *Target, p Params) (report.Result, error) {
	s := t.Server
	conc := orDefault(p.Concurrency, 32)
	d, err := load.NewDialer(s.Ingress, p.Proto)
	if err != nil {
		return report.Result{}, err
	}
	const keys = 50
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	before, after := p.Duration/2, p.Duration/2
	var (
		killedAt atomic.Int64
		firstOK  atomic.Int64
		keyOK    [keys]atomic.Int64 // first success of each key after the kill
	)
	type downtime struct{ killed, launched, ready time.Time }
	var dt downtime
	killErr := make(chan error, 1)
	go func() {
		time.Sleep(before)
		dt.killed = time.Now()
		if s.VictimPIDFile != "" {
			err := s.KillVictim()
			killedAt.Store(time.Now().UnixNano())
			killErr <- err
			return
		}
		s.Kill()
		killedAt.Store(time.Now().UnixNano())
		dt.launched = time.Now()
		if err := s.Launch(false); err != nil {
			killErr <- err
			return
		}
		rctx, cancel := context.WithTimeout(ctx, 120*time.Second)
		defer cancel()
		err := s.WaitReady(rctx)
		dt.ready = time.Now()
		killErr <- err
	}()
	m := startMeter(t)
	// a load long enough to outlast the restart; each request has a key of its
	// own, and is sent again until it succeeds
	o := load.Run(ctx, d, load.Spec{
		Concurrency: conc, Duration: before + after + 10*time.Second, Retry: true, GiveUp: 4 * time.Minute,
		Next: func(_ int, seq int64) *load.Request {
			return &load.Request{Path: fmt.Sprintf("/Counter/r%s-%d/add", run, seq%keys), Body: []byte("1"), ContentType: jsonType,
				IdempotencyKey: run + "-" + strconv.FormatInt(seq, 10)}
		},
		OnSuccess: func(seq int64, at time.Time) {
			// a success counts as one of the restarted server only if it came in
			// after the kill had returned
			if k := killedAt.Load(); k != 0 && at.UnixNano() > k {
				firstOK.CompareAndSwap(0, at.UnixNano())
				keyOK[seq%keys].CompareAndSwap(0, at.UnixNano())
			}
		},
	})
	if err := <-killErr; err != nil {
		return report.Result{}, err
	}
	r := m.stop(o.Ops)
	fill(&r, o, p, 3)
	r.Concurrency = conc
	r.Server = nil // two processes one after the other: their sum means nothing
	var sum int64
	for k := range keys {
		v, err := counterValue(ctx, d, fmt.Sprintf("r%s-%d", run, k))
		if err != nil {
			return r, err
		}
		sum += v
	}
	var allKeys int64
	for i := range keyOK {
		allKeys = max(allKeys, keyOK[i].Load())
	}
	r.Extra = map[string]float64{
		"first_success_after_kill_ms": float64(firstOK.Load()-killedAt.Load()) / 1e6,
		"all_keys_after_kill_ms":      float64(allKeys-killedAt.Load()) / 1e6,
		"longest_request_ms":          r.Latency.Max,
		"requests":                    float64(o.Ops),
		"effects":                     float64(sum),
		"exactly_once_ok":             b2f(sum == o.Ops && o.Errors == 0),
	}
	if !dt.ready.IsZero() {
		r.Extra["ready_after_start_ms"] = float64(dt.ready.Sub(dt.launched).Microseconds()) / 1000
	}
	return r, nil
}

package scen

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"reprise/tests/load/internal/procfs"
	"reprise/tests/load/internal/report"
)

// settleTime is how long a server may take to write out what it has in memory, and to give memory back.
const settleTime = time.Minute

// sleepersRestart kills a server that has n sleepers, and starts it again.
func sleepersRestart(ctx context.Context, t *Target, p Params) (report.Result, error) {
	n, s := orDefault(p.N, 100_000), t.Server
	if err := s.Up(ctx, true, t.ServicesURI); err != nil {
		return report.Result{}, err
	}
	if err := t.control("/reset"); err != nil {
		return report.Result{}, err
	}
	base := procfs.ReadAll(s.ProcessIDs())
	if _, err := sendSleepers(ctx, t, p, n, time.Now().Add(time.Hour)); err != nil { // none wakes meanwhile
		return report.Result{}, err
	}
	err := until(ctx, 5*time.Minute, 200*time.Millisecond, func() (bool, error) {
		st, err := t.stats()
		return st.Exited >= int64(n), err
	})
	if err != nil {
		return report.Result{}, fmt.Errorf("waiting for all to be suspended: %w", err)
	}
	busy := procfs.ReadAll(s.ProcessIDs())
	time.Sleep(settleTime)
	asleep := procfs.ReadAll(s.ProcessIDs())

	m := startMeter(t)
	s.Kill()
	begin := time.Now()
	since := func() float64 { return float64(time.Since(begin).Microseconds()) / 1000 }
	rctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := s.Launch(false); err != nil {
		return report.Result{}, err
	}
	if err := s.WaitReady(rctx); err != nil {
		return report.Result{}, err
	}
	ready := since()
	if err := s.WaitInvocation(rctx); err != nil {
		return report.Result{}, err
	}
	first := since()
	time.Sleep(settleTime)
	loaded := procfs.ReadAll(s.ProcessIDs())
	r := m.stop(1)
	r.Server = nil // two processes one after the other: their sum means nothing
	r.Extra = map[string]float64{
		"n":                          float64(n),
		"ready_ms":                   ready,
		"first_success_ms":           first,
		"start_cpu_s":                loaded.CPU(),
		"rss_base_mib":               float64(base.RSS) / mib,
		"rss_when_suspended_mib":     float64(busy.RSS) / mib,
		"rss_asleep_mib":             float64(asleep.RSS) / mib,
		"rss_after_restart_mib":      float64(loaded.RSS) / mib,
		"rss_bytes_each":             (float64(asleep.RSS) - float64(base.RSS)) / float64(n),
		"rss_bytes_each_of_restored": (float64(loaded.RSS) - float64(base.RSS)) / float64(n),
		// without the pages of the binary, of which more are there the longer it runs
		"anon_base_mib":         float64(base.RSSAnon) / mib,
		"anon_asleep_mib":       float64(asleep.RSSAnon) / mib,
		"anon_bytes_each":       (float64(asleep.RSSAnon) - float64(base.RSSAnon)) / float64(n),
		"anon_when_suspended":   (float64(busy.RSSAnon) - float64(base.RSSAnon)) / float64(n),
		"anon_each_of_restored": (float64(loaded.RSSAnon) - float64(base.RSSAnon)) / float64(n),
	}
	kept, err := countSuspended(ctx, t)
	if err != nil {
		r.Notes = append(r.Notes, "sleepers were not counted after the restart: "+err.Error())
		return r, nil
	}
	if kept != n {
		return r, fmt.Errorf("%d of %d sleepers are there after the restart", kept, n)
	}
	return r, nil
}

func countSuspended(ctx context.Context, t *Target) (int, error) {
	b, err := t.Server.Query(ctx, "SELECT count(*) AS n FROM sys_invocation_status WHERE status = 'suspended'")
	if err != nil {
		return 0, err
	}
	var answer struct {
		Rows []struct {
			N int `json:"n"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(b, &answer); err != nil || len(answer.Rows) != 1 {
		return 0, fmt.Errorf("unexpected answer: %s", b)
	}
	return answer.Rows[0].N, nil
}

package scen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"reprise/tests/load/internal/load"
	"reprise/tests/load/internal/procfs"
	"reprise/tests/load/internal/report"
)

// fullScan reads all that is told of each invocation.
const fullScan = `{"query":"SELECT * FROM sys_invocation"}`

// underScanPairs is how many windows there are of each kind.
const underScanPairs = 5

// stepsUnderScan runs steps3 in windows that take turns: one without SQL, one while a client reads a table again and
// again. What else the machine does meets both. -n 0 scans what is there.
func stepsUnderScan(ctx context.Context, t *Target, p Params) (report.Result, error) {
	if err := suspendMany(ctx, t, p, p.N); err != nil {
		return report.Result{}, err
	}
	if p.Concurrency == 0 {
		p.Concurrency = 64
	}
	d, err := load.NewDialer(t.Server.Ingress, p.Proto)
	if err != nil {
		return report.Result{}, err
	}
	request := &load.Request{Path: "/Bench/steps", Body: []byte("3"), ContentType: jsonType}
	spec := load.Spec{Concurrency: p.Concurrency, Duration: p.Duration, Next: func(int, int64) *load.Request { return request }}
	if p.Warmup > 0 {
		w := spec
		w.Duration = p.Warmup
		load.Run(ctx, d, w)
	}
	var alone, under, loss, scanned, rss []float64
	var total load.Outcome
	rate := func(o load.Outcome) float64 {
		total.Ops, total.Errors, total.Elapsed = total.Ops+o.Ops, total.Errors+o.Errors, total.Elapsed+o.Elapsed
		total.FirstErr = errors.Join(total.FirstErr, o.FirstErr)
		return float64(o.Ops) / o.Elapsed.Seconds()
	}
	m := startMeter(t)
	for range underScanPairs {
		x := rate(load.Run(ctx, d, spec))
		stop := t.scanAgainAndAgain(ctx)
		o := load.Run(ctx, d, spec)
		read, err := stop()
		if err != nil {
			return report.Result{}, fmt.Errorf("scan: %w", err)
		}
		y := rate(o)
		alone, under, loss = append(alone, x), append(under, y), append(loss, 100*(1-y/x))
		scanned = append(scanned, float64(read)/o.Elapsed.Seconds()/mib)
		rss = append(rss, float64(procfs.ReadAll(t.Server.ProcessIDs()).RSS)/mib)
	}
	r := m.stop(total.Ops)
	r.Errors, r.Concurrency, r.Seconds = total.Errors, p.Concurrency, total.Elapsed.Seconds()
	if total.FirstErr != nil {
		r.FirstError = total.FirstErr.Error()
	}
	r.Extra = map[string]float64{
		"alone_per_s": report.Median(alone), "under_scan_per_s": report.Median(under), "loss_percent": report.Median(loss),
		"scan_mib_per_s": report.Median(scanned), "rss_first_mib": rss[0], "rss_last_mib": rss[len(rss)-1],
	}
	r.Notes = append(r.Notes, fmt.Sprintf("of each round: alone %.0f, under scan %.0f, loss %.0f %%, RSS %.0f MiB", alone, under, loss, rss))
	return r, nil
}

// scanAgainAndAgain reads everything until stop is called, which returns how many bytes that were.
func (t *Target) scanAgainAndAgain(ctx context.Context) (stop func() (int64, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var read int64
	done := make(chan error, 1)
	go func() {
		for {
			n, err := t.scanOnce(ctx)
			read += n
			if err != nil {
				done <- err
				return
			}
		}
	}()
	return func() (int64, error) {
		cancel()
		err := <-done
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		return read, err
	}
}

func (t *Target) scanOnce(ctx context.Context) (read int64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.Server.Admin+"/query", strings.NewReader(fullScan))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", jsonType)
	r.Header.Set("Accept", jsonType)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if read, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return read, err
}

// suspendMany leaves n invocations suspended.
func suspendMany(ctx context.Context, t *Target, p Params, n int) error {
	if err := t.control("/reset"); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	if _, err := sendSleepers(ctx, t, p, n, time.Now().Add(2*time.Hour)); err != nil {
		return err
	}
	return until(ctx, 5*time.Minute, 200*time.Millisecond, func() (bool, error) {
		s, err := t.stats()
		return s.Exited >= int64(n), err
	})
}

package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/query/scan"
	"reprise/pkg/rpc"
)

// fakeScanner answers with what it was asked for.
type fakeScanner func(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error

func (f fakeScanner) Scan(ctx context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error {
	return f(ctx, p, r, emit)
}

func (w *workers) scanned(f fakeScanner, fingerprint uint64) *rpc.ScanClient {
	w.t.Helper()
	s, err := rpc.NewWorkerServer(rpc.DefaultWorker(), workerOne, func() uint64 { return fingerprint }, fakeWorker{})
	if err != nil {
		w.t.Fatal(err)
	}
	if f != nil {
		s.ServeScans(f)
	}
	w.start(workerOne, s)
	w.lead(workerOne)
	return rpc.NewScanClient(id.GenerationalNode{Node: 9, Generation: 1}, w, w)
}

func TestScan(t *testing.T) {
	asked := &scan.Request{Table: "state", Columns: []string{"key", "value"}, Limit: 3, Top: &scan.Top{Column: "key", Descending: true, Rows: 7}, Filters: []scan.Filter{
		{Column: "key", Values: []string{"a", ""}}, {Column: "scope", Null: true, Not: true},
	}}
	w := newWorkers(t)
	c := w.scanned(func(_ context.Context, p id.Partition, r *scan.Request, emit func(scan.Batch) error) error {
		if err := emit(scan.Batch{Rows: 2, Data: []byte(fmt.Sprint(p))}); err != nil {
			return err
		}
		return emit(scan.Batch{Rows: 1, Data: []byte(fmt.Sprint(*r.Top, r.Columns, r.Filters, r.Limit))})
	}, workerCluster)
	var got []scan.Batch
	err := c.Scan(t.Context(), 5, asked, func(b scan.Batch) error {
		got = append(got, b)
		return nil
	})
	if err != nil || len(got) != 2 || got[0].Rows != 2 || string(got[0].Data) != "5" || string(got[1].Data) != fmt.Sprint(*asked.Top, asked.Columns, asked.Filters, asked.Limit) {
		t.Errorf("%v: %v", got, err)
	}
	enough := errors.New("enough")
	if err := c.Scan(t.Context(), 5, asked, func(scan.Batch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a caller that has enough: %v", err)
	}
}

// The codes of a scan arrive, and its end at the worker when the caller leaves.
func TestScanFails(t *testing.T) {
	none := func(scan.Batch) error { return nil }
	for name, row := range map[string]struct {
		f           fakeScanner
		fingerprint uint64
		code        errs.Code
	}{
		"not led": {func(context.Context, id.Partition, *scan.Request, func(scan.Batch) error) error {
			return errs.Newf(errs.NotLeader, "no")
		}, workerCluster, errs.NotLeader},
		"not served":         {nil, workerCluster, errs.Unsupported},
		"of another cluster": {nil, 1, errs.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			c := newWorkers(t).scanned(row.f, row.fingerprint)
			if err := c.Scan(t.Context(), 1, &scan.Request{}, none); !errs.Is(err, row.code) {
				t.Errorf("%v", err)
			}
		})
	}
	w := newWorkers(t)
	left := make(chan struct{})
	began := make(chan struct{})
	c := w.scanned(func(ctx context.Context, _ id.Partition, _ *scan.Request, _ func(scan.Batch) error) error {
		close(began)
		<-ctx.Done()
		close(left)
		return ctx.Err()
	}, workerCluster)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	group := lifecycle.NewGroup(t.Context())
	group.Go("caller", func(context.Context) error { return c.Scan(ctx, 1, &scan.Request{}, none) })
	<-began
	cancel()
	<-left
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: %v", err)
	}
}

// A scan whose worker dies may be made again: it has changed nothing.
func TestScanBreaksOff(t *testing.T) {
	w := newWorkers(t)
	c := w.scanned(func(ctx context.Context, _ id.Partition, _ *scan.Request, _ func(scan.Batch) error) error {
		w.cut()
		<-ctx.Done()
		return ctx.Err()
	}, workerCluster)
	if err := c.Scan(t.Context(), 1, &scan.Request{}, func(scan.Batch) error { return nil }); !errs.Is(err, errs.Unavailable) {
		t.Errorf("got code %s: %v", errs.CodeOf(err), err)
	}
}

// A worker that answers nothing does not hold a statement up for ever; one that gives signs of life may take its time.
func TestScanSilence(t *testing.T) {
	c := newWorkers(t).scanned(func(ctx context.Context, p id.Partition, _ *scan.Request, emit func(scan.Batch) error) error {
		for range 3 {
			if err := emit(scan.Batch{}); err != nil || p == 0 {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}, workerCluster)
	c.SetSilence(50 * time.Millisecond)
	signs := 0
	sign := func(scan.Batch) error {
		signs++
		return nil
	}
	if err := c.Scan(t.Context(), 1, &scan.Request{}, sign); !errs.Is(err, errs.Unavailable) || signs != 3 {
		t.Errorf("after %d signs of life: %v", signs, err)
	}
	if err := c.Scan(t.Context(), 0, &scan.Request{}, sign); err != nil {
		t.Error(err)
	}
}

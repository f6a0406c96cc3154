// Package workload has clients use objects, workflows and timers, and checks what they saw.
//
//	w := workload.New(form, seed)
//	endpoint, err := harness.Serve(w.Services()...)
//	stop := w.Start(ctx) // clients get on while the test has faults befall the processes
//	err = w.Progress(ctx)
//	stop()
//	for _, err := range w.Check(ctx, t.Logf) { t.Error(err) }
package workload

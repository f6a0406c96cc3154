// Package harness runs the binaries of this tree as processes and drives them through their public interfaces.
//
// Build makes the binaries. NewStandalone, NewDaemons and NewCluster describe the forms of the product, each
// in a folder of its own and on free ports; a Form is a list of Processes that can be killed and
// started again one by one. Nothing waits for a fixed time: Wait asks until the answer is right or
// its deadline has passed.
//
//	bins, err := harness.Build(ctx, dir)
//	form, err := harness.NewStandalone(bins, dir)
//	err = form.Start(ctx)
//	defer form.Stop()
//	err = form.Processes[0].Kill()
package harness

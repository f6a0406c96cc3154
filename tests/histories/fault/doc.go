// Package fault has faults befall the processes of a form, one after the other, while clients get on. They aim at who leads
// at that time, not at names.
//
//	err := fault.Befall(ctx, fault.Plan{Form: form, Load: w, Random: random, Faults: fault.Processes(form.Name), Time: time.Minute, Log: t.Logf})
package fault

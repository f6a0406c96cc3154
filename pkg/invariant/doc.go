// Package invariant stops the process when we are wrong, rather than let it store a lie.
//
// That is for what must hold whatever the input was: a fault of the world is an error, never a panic.
// Checks that cost more than a comparison stand behind Enabled, which the build tag invariants sets;
// all tests are built with it:
//
//	if invariant.Enabled {
//		invariant.That(slices.IsSorted(tails), "tails out of order: %v", tails)
//	}
package invariant

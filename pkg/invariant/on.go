//go:build invariants

package invariant

// Enabled tells whether costly checks are made.
const Enabled = true

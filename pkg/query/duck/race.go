//go:build race

package duck

// shadow is what the race detector keeps beside what the process allocates, in the same limit.
const shadow = 4 << 30

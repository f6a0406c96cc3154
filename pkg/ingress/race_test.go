//go:build race

package ingress

// raceDetector makes pools forget at random, so allocations cannot be counted.
const raceDetector = true

// Package history decides from what clients saw, and from what is stored at the end, whether any effect was lost or doubled.
//
// The objects under test are counters that remember by whom they were raised. A client writes down
// each request, when it was first sent and when it was answered; Check compares that with the counters.
package history

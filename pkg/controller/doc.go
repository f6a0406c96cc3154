// Package controller keeps every partition held and led by workers.
//
// It runs in each metadata daemon and in standalone: a Roster knows which processes live and how they stand, a Controller
// writes who holds partitions, Leaders calls who is to lead. The metadata daemon with the lowest id of those that live acts,
// in its own view; two may, which is harmless: every write is conditional on what it was decided on, and the log
// decides who leads. Whether a worker is away is judged by its lease, which all see alike; what it has applied, and
// whether it can be called, by its beats.
package controller

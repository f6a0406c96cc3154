// Package placement decides which workers hold a partition.
//
// Every decision is a pure function of a snapshot. Assign is sticky: what lies well stays where it is,
// and what must be placed goes to the worker that wins the partition's rendezvous among those with room.
package placement

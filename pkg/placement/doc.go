// Package placement decides which workers hold a partition and who of them leads it.
//
// Every decision is a pure function of a snapshot. Reconfigure says who shall hold each partition: what lies well
// stays where it is, what must be placed goes to the worker that wins the partition's rendezvous among those with room, and
// a replica that has caught up is dropped only once the one in its place has. Leaders says whom to call where nobody
// leads, Moves where another should.
package placement

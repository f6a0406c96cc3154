// Package sim is the simulation: whole clusters of the real code in one test process, under one seeded scheduler that loses,
// doubles and delays messages, crashes processes and takes their disks away. It holds tests alone; docs/simulation.md tells
// what is checked, which mistakes are found, and how to replay a seed.
package sim

package id

import "encoding/binary"

// PartitionKey places a thing in the key space; a partition owns a contiguous range of it.
type PartitionKey uint64

// Partition numbers a partition, from 0. Partition p has log p.
type Partition uint16

// Node is the plain id of a process with its data folder; 0 means none.
type Node uint32

// GenerationalNode is one run of a node: the generation grows with every process start.
type GenerationalNode struct {
	Node       Node
	Generation uint32
}

// Loglet names a loglet for ever: log << 32 | segment index.
type Loglet uint64

// NewLoglet returns the id of segment index of the log of partition p.
func NewLoglet(p Partition, index uint32) Loglet { return Loglet(uint64(p)<<32 | uint64(index)) }

// Log returns the partition whose log the loglet is part of.
func (l Loglet) Log() Partition { return Partition(l >> 32) }

// Segment returns the index of the loglet in the chain of its log.
func (l Loglet) Segment() uint32 { return uint32(l) }

// Invocation is an invocation id: 8 bytes of partition key, 16 bytes unique part, big endian.
type Invocation [24]byte

// NewInvocation joins a partition key and a unique part.
func NewInvocation(key PartitionKey, unique [16]byte) (i Invocation) {
	binary.BigEndian.PutUint64(i[:8], uint64(key))
	copy(i[8:], unique[:])
	return i
}

// PartitionKey returns the key that places the invocation.
func (i Invocation) PartitionKey() PartitionKey {
	return PartitionKey(binary.BigEndian.Uint64(i[:8]))
}

// Unique returns the unique part.
func (i Invocation) Unique() (u [16]byte) { copy(u[:], i[8:]); return u }

// Deployment is a deployment id (a ULID).
type Deployment [16]byte

// Subscription is the id of a Kafka subscription (a ULID).
type Subscription [16]byte

// Snapshot is the id of a copy of a partition store (a ULID).
type Snapshot [16]byte

// ULID is 48 bits of milliseconds and 80 random bits, big endian.
type ULID [16]byte

package id

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Buckets is into how many partition keys the invocations of one plain service are spread.
const Buckets = 512

// hashEnd follows each string that is hashed, so that joined strings cannot run into one another.
const hashEnd = 0xFF

// hashStack is how long a string may be to be hashed without an allocation.
const hashStack = 256

// Hash returns the partition key of a string: an object key, a workflow key.
func Hash(s string) PartitionKey {
	var buf [hashStack]byte
	b := append(buf[:0], s...)
	return PartitionKey(xxh3.Hash(append(b, hashEnd)))
}

// BucketKey returns the partition key of a bucket of a plain service; bucket is below Buckets.
func BucketKey(service string, bucket uint16) PartitionKey {
	var buf [hashStack]byte
	b := append(buf[:0], service...)
	b = append(b, hashEnd)
	b = append(b, "unscoped/service"...)
	b = append(b, hashEnd)
	b = binary.LittleEndian.AppendUint64(b, uint64(bucket))
	return PartitionKey(xxh3.Hash(b))
}

// PartitionOf returns which of the partitions of a cluster owns the key; partitions is not 0.
func PartitionOf(key PartitionKey, partitions uint32) Partition {
	hi, _ := bits.Mul64(uint64(key), uint64(partitions))
	return Partition(hi)
}

// Range returns the first and the last key that p owns; p is below partitions.
func Range(p Partition, partitions uint32) (from, to PartitionKey) {
	from = rangeStart(uint64(p), uint64(partitions))
	if uint32(p)+1 == partitions {
		return from, ^PartitionKey(0)
	}
	return from, rangeStart(uint64(p)+1, uint64(partitions)) - 1
}

// rangeStart is ceil(p * 2^64 / partitions), with p below partitions.
func rangeStart(p, partitions uint64) PartitionKey {
	q, rem := bits.Div64(p, 0, partitions)
	if rem != 0 {
		q++
	}
	return PartitionKey(q)
}

// IdempotentInvocation returns the id of the invocation of a handler with an idempotency key. keyed
// says that the target is an object or a workflow; its key may be empty then.
func IdempotentInvocation(service, key string, keyed bool, handler, idempotencyKey string) Invocation {
	if keyed {
		return NewInvocation(Hash(key), unique("ik", service, key, handler, idempotencyKey))
	}
	bucket := uint16(uint64(Hash(idempotencyKey)) % Buckets)
	return NewInvocation(BucketKey(service, bucket), unique("ik", service, handler, idempotencyKey))
}

// WorkflowInvocation returns the id of the run of a workflow key, whatever its handler is called.
func WorkflowInvocation(service, key string) Invocation {
	return NewInvocation(Hash(key), unique("wf", service, key))
}

// ScopedIdempotentInvocation is IdempotentInvocation within a scope, which also decides where it lives.
func ScopedIdempotentInvocation(scope, service, key string, keyed bool, handler, idempotencyKey string) Invocation {
	if keyed {
		return NewInvocation(Hash(scope), unique("ik", scope, service, key, handler, idempotencyKey))
	}
	return NewInvocation(Hash(scope), unique("ik", scope, service, handler, idempotencyKey))
}

// ScopedWorkflowInvocation is WorkflowInvocation within a scope, which also decides where it lives.
func ScopedWorkflowInvocation(scope, service, key string) Invocation {
	return NewInvocation(Hash(scope), unique("wf", scope, service, key))
}

// FreshInvocation returns the id of an invocation that nothing but u makes unique.
func FreshInvocation(key PartitionKey, u ULID) Invocation { return NewInvocation(key, u) }

// unique joins the parts by commas, without escapes, and hashes them.
func unique(parts ...string) (u [16]byte) {
	var buf [hashStack]byte
	b := buf[:0]
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	copy(u[:], sum[:])
	return u
}

// RandomSeed returns the seed that handlers get: SipHash-1-3 with a zero key over the length and the
// bytes of the id.
func RandomSeed(i Invocation) uint64 {
	le := binary.LittleEndian
	s := newSip()
	s.word(uint64(len(i)))
	s.word(le.Uint64(i[0:]))
	s.word(le.Uint64(i[8:]))
	s.word(le.Uint64(i[16:]))
	return s.sum(8 + len(i))
}

type sip struct{ v0, v1, v2, v3 uint64 }

func newSip() sip {
	return sip{0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573}
}

func (s *sip) round() {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

func (s *sip) word(m uint64) {
	s.v3 ^= m
	s.round()
	s.v0 ^= m
}

// sum ends a text of length bytes, a multiple of 8.
func (s *sip) sum(length int) uint64 {
	s.word(uint64(length) << 56)
	s.v2 ^= 0xff
	s.round()
	s.round()
	s.round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

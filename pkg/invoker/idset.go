package invoker

// idSet is a set of completion ids. SDKs count them from 1, so bits do for most.
type idSet struct {
	bits  []uint64
	rest  map[uint32]struct{}
	count int // of bits
}

const idSetBits = 1 << 16

// add tells whether n was not there.
func (s *idSet) add(n uint32) bool {
	if n >= idSetBits {
		if s.rest == nil {
			s.rest = map[uint32]struct{}{}
		}
		_, known := s.rest[n]
		s.rest[n] = struct{}{}
		return !known
	}
	word, bit := int(n/64), uint64(1)<<(n%64)
	for len(s.bits) <= word {
		s.bits = append(s.bits, 0)
	}
	if s.bits[word]&bit != 0 {
		return false
	}
	s.bits[word] |= bit
	s.count++
	return true
}

// take removes n and tells whether it was there.
func (s *idSet) take(n uint32) bool {
	if n >= idSetBits {
		_, ok := s.rest[n]
		delete(s.rest, n)
		return ok
	}
	word, bit := int(n/64), uint64(1)<<(n%64)
	if word >= len(s.bits) || s.bits[word]&bit == 0 {
		return false
	}
	s.bits[word] &^= bit
	s.count--
	return true
}

func (s *idSet) empty() bool { return s.count == 0 && len(s.rest) == 0 }

func (s *idSet) clear() {
	s.bits, s.rest, s.count = s.bits[:0], nil, 0
}

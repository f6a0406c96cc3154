package id

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewULID joins a time in Unix milliseconds and random bytes.
func NewULID(millis int64, random [10]byte) (u ULID) {
	for i := range 6 {
		u[i] = byte(millis >> (40 - 8*i))
	}
	copy(u[6:], random[:])
	return u
}

// Millis returns the time in u, Unix milliseconds.
func (u ULID) Millis() (millis int64) {
	for _, b := range u[:6] {
		millis = millis<<8 | int64(b)
	}
	return millis
}

// String returns the 26 characters of Crockford's base 32.
func (u ULID) String() string {
	var s [26]byte
	var pending uint16 // bits that are not written yet, in its low bits
	have, at := 2, 0   // 26 characters hold 130 bits: two zero bits lead
	for _, b := range u {
		pending = pending<<8 | uint16(b)
		for have += 8; have >= 5; at++ {
			have -= 5
			s[at] = crockford[pending>>have&31]
		}
	}
	return string(s[:])
}

// NewDeployment names a deployment by a ULID.
func NewDeployment(u ULID) Deployment { return Deployment(u) }

package id

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Decode errors. Their texts are part of the contract: they stand in HTTP bodies.
var (
	ErrFormat  = errors.New("bad format")
	ErrLength  = errors.New("bad length")
	ErrBody    = errors.New("base62 decode error")
	ErrVersion = errors.New("unrecognized codec version")
	ErrType    = errors.New("id doesn't match the expected type")
)

// UnknownPrefixError says that no kind of id has the prefix.
type UnknownPrefixError struct{ Prefix string }

func (e UnknownPrefixError) Error() string { return "unrecognized resource type: " + e.Prefix }

// Prefixes of ids. Those of kinds that this release does not make are known too: they are
// another type, not an unknown one.
const (
	prefixInvocation      = "inv"
	prefixDeployment      = "dp"
	prefixSubscription    = "sub"
	prefixSnapshot        = "snap"
	prefixAwakeable       = "sign"
	prefixLegacyAwakeable = "prom"
	prefixMutation        = "mut"
	prefixQueue           = "vq"
)

const (
	alphabet  = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	width64   = 11 // characters of 8 bytes
	width128  = 22 // characters of 16 bytes
	awakeable = 38 // characters of 28 bytes in base64url

	chunkDigits = 10
	chunk       = 839299365868340224 // 62^chunkDigits, the largest power that leaves room to spare in 64 bits
)

// InvocationTextLen is the length of an invocation id in text.
const InvocationTextLen = len(prefixInvocation) + 2 + width64 + width128

var awakeableBody = base64.RawURLEncoding.Strict()

// String returns the text form, inv_1...
func (i Invocation) String() string {
	var b [InvocationTextLen]byte
	return string(i.AppendText(b[:0]))
}

// AppendText appends the text form to dst.
func (i Invocation) AppendText(dst []byte) []byte {
	dst = append(dst, prefixInvocation+"_1"...)
	dst = append64(dst, binary.LittleEndian.Uint64(i[:8]))
	return append128(dst, [16]byte(i[8:]))
}

// ParseInvocation decodes the text form.
func ParseInvocation(s string) (i Invocation, err error) {
	body, err := cutBody(s, prefixInvocation, width64+width128)
	if err != nil {
		return i, err
	}
	key, ok := parse64(body[:width64])
	if !ok {
		return i, ErrBody
	}
	unique, ok := parse128(body[width64:])
	if !ok {
		return i, ErrBody
	}
	binary.LittleEndian.PutUint64(i[:8], key)
	copy(i[8:], unique[:])
	return i, nil
}

// String returns the text form, dp_1...
func (d Deployment) String() string {
	return string(append128([]byte(prefixDeployment+"_1"), d))
}

// ParseDeployment decodes the text form.
func ParseDeployment(s string) (Deployment, error) {
	body, err := cutBody(s, prefixDeployment, width128)
	if err != nil {
		return Deployment{}, err
	}
	raw, ok := parse128(body)
	if !ok {
		return Deployment{}, ErrBody
	}
	return raw, nil
}

// String returns the text form, sub_1...
func (s Subscription) String() string {
	return string(append128([]byte(prefixSubscription+"_1"), s))
}

// ParseSubscription decodes the text form.
func ParseSubscription(s string) (Subscription, error) {
	body, err := cutBody(s, prefixSubscription, width128)
	if err != nil {
		return Subscription{}, err
	}
	raw, ok := parse128(body)
	if !ok {
		return Subscription{}, ErrBody
	}
	return raw, nil
}

// String returns the text form, snap_1...
func (s Snapshot) String() string {
	return string(append128([]byte(prefixSnapshot+"_1"), s))
}

// ParseSnapshot decodes the text form.
func ParseSnapshot(s string) (Snapshot, error) {
	body, err := cutBody(s, prefixSnapshot, width128)
	if err != nil {
		return Snapshot{}, err
	}
	raw, ok := parse128(body)
	if !ok {
		return Snapshot{}, ErrBody
	}
	return raw, nil
}

// FormatAwakeable returns the id of the awakeable that is signal index of the invocation, sign_1...
func FormatAwakeable(i Invocation, index uint32) string {
	var raw [awakeableBytes]byte
	copy(raw[:], i[:])
	binary.BigEndian.PutUint32(raw[24:], index)
	return prefixAwakeable + "_1" + awakeableBody.EncodeToString(raw[:])
}

// ParseAwakeable decodes an awakeable id. legacy tells that it is an old one, prom_1..., whose index
// is a journal entry and addresses nothing here.
func ParseAwakeable(s string) (i Invocation, index uint32, legacy bool, err error) {
	body, err := cutBody(s, prefixAwakeable, awakeable)
	if err == nil {
		if i, index, err = parseAwakeableBody(body); err == nil {
			return i, index, false, nil
		}
	}
	// Whatever was wrong with it as a new one, the error shown is that of the second try.
	if body, err = cutBody(s, prefixLegacyAwakeable, awakeable); err != nil {
		return Invocation{}, 0, false, err
	}
	i, index, err = parseAwakeableBody(body)
	return i, index, err == nil, err
}

// awakeableBytes are those of an invocation and an index.
const awakeableBytes = 24 + 4

func parseAwakeableBody(body string) (i Invocation, index uint32, err error) {
	raw, err := awakeableBody.DecodeString(body)
	if err != nil || len(raw) != awakeableBytes { // shorter, if there are line breaks, which the decoder skips
		return i, 0, ErrBody
	}
	copy(i[:], raw)
	return i, binary.BigEndian.Uint32(raw[24:]), nil
}

// cutBody checks everything before the body, in the order of the contract.
func cutBody(s, prefix string, width int) (string, error) {
	if s == "" {
		return "", ErrLength
	}
	got, rest, found := strings.Cut(s, "_")
	if !found {
		return "", ErrFormat
	}
	switch got {
	case prefixInvocation, prefixDeployment, prefixSubscription, prefixSnapshot,
		prefixAwakeable, prefixLegacyAwakeable, prefixMutation, prefixQueue:
	default:
		return "", UnknownPrefixError{Prefix: got}
	}
	if rest == "" {
		return "", ErrLength
	}
	if rest[0] != '1' {
		return "", ErrVersion
	}
	if got != prefix {
		return "", ErrType
	}
	if len(rest) != 1+width {
		return "", ErrLength
	}
	return rest[1:], nil
}

// append64 appends v in base62, padded to width64.
func append64(dst []byte, v uint64) []byte { return appendDigits(dst, v, width64) }

// append128 appends the little-endian value of raw in base62, padded to width128.
func append128(dst []byte, raw [16]byte) []byte {
	lo, hi := binary.LittleEndian.Uint64(raw[:8]), binary.LittleEndian.Uint64(raw[8:])
	hi, lo, low := div128(hi, lo)
	_, top, middle := div128(hi, lo)
	dst = appendDigits(dst, top, width128-2*chunkDigits)
	dst = appendDigits(dst, middle, chunkDigits)
	return appendDigits(dst, low, chunkDigits)
}

// div128 divides hi:lo by chunk.
func div128(hi, lo uint64) (qhi, qlo, rem uint64) {
	qhi, rem = bits.Div64(0, hi, chunk)
	qlo, rem = bits.Div64(rem, lo, chunk)
	return qhi, qlo, rem
}

func appendDigits(dst []byte, v uint64, width int) []byte {
	at := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := at + width - 1; v != 0; i-- {
		dst[i] = alphabet[v%62]
		v /= 62
	}
	return dst
}

func parse64(s string) (v uint64, ok bool) {
	for i := range len(s) {
		d, ok := digit(s[i])
		if !ok {
			return 0, false
		}
		hi, lo := bits.Mul64(v, 62)
		lo, carry := bits.Add64(lo, d, 0)
		if hi+carry != 0 {
			return 0, false
		}
		v = lo
	}
	return v, true
}

func parse128(s string) (raw [16]byte, ok bool) {
	var hi, lo uint64
	for i := range len(s) {
		d, ok := digit(s[i])
		if !ok {
			return raw, false
		}
		over, h := bits.Mul64(hi, 62)
		carried, l := bits.Mul64(lo, 62)
		l, c := bits.Add64(l, d, 0)
		h, c = bits.Add64(h, carried, c)
		if over+c != 0 {
			return raw, false
		}
		hi, lo = h, l
	}
	binary.LittleEndian.PutUint64(raw[:8], lo)
	binary.LittleEndian.PutUint64(raw[8:], hi)
	return raw, true
}

func digit(c byte) (uint64, bool) {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0'), true
	case c >= 'a' && c <= 'z':
		return uint64(c-'a') + 10, true
	case c >= 'A' && c <= 'Z':
		return uint64(c-'A') + 36, true
	default:
		return 0, false
	}
}

// String returns N1.
func (n Node) String() string { return "N" + strconv.FormatUint(uint64(n), 10) }

// String returns N1:3.
func (n GenerationalNode) String() string {
	return n.Node.String() + ":" + strconv.FormatUint(uint64(n.Generation), 10)
}

// ParseGenerationalNode decodes N1:3.
func ParseGenerationalNode(s string) (GenerationalNode, error) {
	node, generation, found := strings.Cut(strings.TrimPrefix(s, "N"), ":")
	n, err := strconv.ParseUint(node, 10, 32)
	g, err2 := strconv.ParseUint(generation, 10, 32)
	got := GenerationalNode{Node: Node(n), Generation: uint32(g)}
	if !found || err != nil || err2 != nil || got.String() != s {
		return GenerationalNode{}, fmt.Errorf("node id %q is not of the form N1:3", s)
	}
	return got, nil
}

// String returns log_segment, as in 1_37.
func (l Loglet) String() string {
	return strconv.FormatUint(uint64(l.Log()), 10) + "_" + strconv.FormatUint(uint64(l.Segment()), 10)
}

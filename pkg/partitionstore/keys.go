package partitionstore

import (
	"encoding/binary"
	"fmt"

	"reprise/pkg/id"
	"reprise/pkg/keyenc"
	"reprise/pkg/partition"
)

// Key kinds: the first byte of a key. Never reused.
const (
	kindMeta       = 0x01
	kindInvocation = 0x02
	kindLife       = 0x03
	kindActive     = 0x04
	kindLock       = 0x05
	kindQueue      = 0x06
	kindUserState  = 0x07
	kindTimer      = 0x08
	kindOutbox     = 0x09
	kindOutboxSeq  = 0x0a
	kindSource     = 0x0b
	kindPromise    = 0x0c
	kindEvent      = 0x0d
	kindChange     = 0x0e
)

// Lengths of fixed-width keys.
const (
	idLen            = 24
	invocationKeyLen = 1 + idLen
	lifeKeyLen       = 1 + 8 + idLen
	journalKeyLen    = lifeKeyLen + 4
	timerKeyLen      = 1 + 8 + idLen + 8 + 1 + 4
	outboxKeyLen     = 1 + 2 + 8
	peerKeyLen       = 1 + 2
)

// All functions named append... append a key to dst; those named parse... decode one that append... made.

func appendMetaKey(dst []byte) []byte { return append(dst, kindMeta) }

// appendID puts the unique part, which often begins with a time, before the partition key.
func appendID(dst []byte, i id.Invocation) []byte {
	dst = append(dst, i[8:]...)
	return append(dst, i[:8]...)
}

func cutID(b []byte) (i id.Invocation, rest []byte) {
	copy(i[8:], b[:16])
	copy(i[:8], b[16:idLen])
	return i, b[idLen:]
}

func appendInvocationKey(dst []byte, i id.Invocation) []byte {
	return appendID(append(dst, kindInvocation), i)
}

func parseInvocationKey(k []byte) (i id.Invocation, ok bool) {
	if len(k) != invocationKeyLen || k[0] != kindInvocation {
		return i, false
	}
	i, _ = cutID(k[1:])
	return i, true
}

// life names one life of an invocation.
type life struct {
	incarnation uint64
	id          id.Invocation
}

func appendLifeKey(dst []byte, l life) []byte {
	return appendID(keyenc.AppendUint64(append(dst, kindLife), l.incarnation), l.id)
}

func parseLifeKey(k []byte) (l life, ok bool) { return cutLife(k, kindLife, lifeKeyLen) }

func appendJournalKey(dst []byte, l life, first uint32) []byte {
	return keyenc.AppendUint32(appendLifeKey(dst, l), first)
}

func parseJournalKey(k []byte) (l life, first uint32, ok bool) {
	if l, ok = cutLife(k, kindLife, journalKeyLen); !ok {
		return l, 0, false
	}
	return l, binary.BigEndian.Uint32(k[lifeKeyLen:]), true
}

func cutLife(k []byte, kind byte, length int) (l life, ok bool) {
	if len(k) != length || k[0] != kind {
		return l, false
	}
	l.incarnation = binary.BigEndian.Uint64(k[1:])
	l.id, _ = cutID(k[9:])
	return l, true
}

func appendActiveKey(dst []byte, l life) []byte {
	return appendID(keyenc.AppendUint64(append(dst, kindActive), l.incarnation), l.id)
}

func parseActiveKey(k []byte) (l life, ok bool) { return cutLife(k, kindActive, lifeKeyLen) }

// appendObject appends the name of an object behind a kind.
func appendObject(dst []byte, kind byte, service, key string) []byte {
	return keyenc.AppendBytes(keyenc.AppendBytes(append(dst, kind), service), key)
}

func cutObject(k []byte, kind byte) (service, key string, rest []byte, ok bool) {
	if len(k) == 0 || k[0] != kind {
		return "", "", nil, false
	}
	s, rest, ok := keyenc.CutBytes(nil, k[1:])
	if !ok {
		return "", "", nil, false
	}
	o, rest, ok := keyenc.CutBytes(nil, rest)
	return string(s), string(o), rest, ok
}

func appendLockKey(dst []byte, service, key string) []byte {
	return appendObject(dst, kindLock, service, key)
}

func appendQueuePrefix(dst []byte, service, key string) []byte {
	return appendObject(dst, kindQueue, service, key)
}

func appendQueueKey(dst []byte, service, key string, position uint64) []byte {
	return keyenc.AppendUint64(appendQueuePrefix(dst, service, key), position)
}

func appendChangeKey(dst []byte, service, key string, position uint64) []byte {
	return keyenc.AppendUint64(appendObject(dst, kindChange, service, key), position)
}

func appendEventPrefix(dst []byte, l life) []byte {
	return appendID(keyenc.AppendUint64(append(dst, kindEvent), l.incarnation), l.id)
}

func appendEventKey(dst []byte, l life, number uint32) []byte {
	return keyenc.AppendUint32(appendEventPrefix(dst, l), number)
}

func parseEventKey(k []byte) (l life, number uint32, ok bool) {
	if l, ok = cutLife(k, kindEvent, journalKeyLen); !ok {
		return l, 0, false
	}
	return l, binary.BigEndian.Uint32(k[lifeKeyLen:]), true
}

// queuePosition decodes the end of the key of a queue or a change.
func queuePosition(k []byte) (uint64, bool) {
	if len(k) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(k[len(k)-8:]), true
}

func appendUserStatePrefix(dst []byte, service, key string) []byte {
	return appendObject(dst, kindUserState, service, key)
}

func appendUserStateKey(dst []byte, service, key string, name []byte) []byte {
	return append(appendUserStatePrefix(dst, service, key), name...)
}

func appendPromisePrefix(dst []byte, service, key string) []byte {
	return appendObject(dst, kindPromise, service, key)
}

func appendPromiseKey(dst []byte, p partition.Promise) []byte {
	return keyenc.AppendBytes(appendPromisePrefix(dst, p.Service, p.Key), p.Name)
}

// appendWaiterKey appends the key of one that waits for a promise; it stands behind that of the promise.
func appendWaiterKey(dst []byte, p partition.Promise, number uint64) []byte {
	return keyenc.AppendUint64(appendPromiseKey(dst, p), number)
}

// parsePromiseKey decodes both.
func parsePromiseKey(k []byte) (p partition.Promise, number uint64, waiter, ok bool) {
	service, key, rest, ok := cutObject(k, kindPromise)
	if !ok {
		return p, 0, false, false
	}
	name, rest, ok := keyenc.CutBytes(nil, rest)
	p = partition.Promise{Service: service, Key: key, Name: string(name)}
	if !ok || len(rest) == 0 {
		return p, 0, false, ok
	}
	number, rest, ok = keyenc.CutUint64(rest)
	return p, number, true, ok && len(rest) == 0
}

func appendTimerDue(dst []byte, due int64) []byte {
	return keyenc.AppendUint64(append(dst, kindTimer), uint64(max(due, 0)))
}

func appendTimerKey(dst []byte, t partition.Timer) []byte {
	dst = appendID(appendTimerDue(dst, t.Due), t.ID)
	dst = append(keyenc.AppendUint64(dst, t.Incarnation), byte(t.Kind))
	return keyenc.AppendUint32(dst, t.Index)
}

func parseTimerKey(k []byte) (t partition.Timer, ok bool) {
	if len(k) != timerKeyLen || k[0] != kindTimer {
		return t, false
	}
	t.Due = int64(binary.BigEndian.Uint64(k[1:]))
	t.ID, k = cutID(k[9:])
	t.Incarnation = binary.BigEndian.Uint64(k)
	t.Kind = partition.TimerKind(k[8])
	t.Index = binary.BigEndian.Uint32(k[9:])
	return t, true
}

func appendOutboxKey(dst []byte, target id.Partition, seq uint64) []byte {
	return keyenc.AppendUint64(keyenc.AppendUint16(append(dst, kindOutbox), uint16(target)), seq)
}

func parseOutboxKey(k []byte) (target id.Partition, seq uint64, ok bool) {
	if len(k) != outboxKeyLen || k[0] != kindOutbox {
		return 0, 0, false
	}
	return id.Partition(binary.BigEndian.Uint16(k[1:])), binary.BigEndian.Uint64(k[3:]), true
}

// appendPeerKey appends a key that has another partition behind its kind.
func appendPeerKey(dst []byte, kind byte, peer id.Partition) []byte {
	return keyenc.AppendUint16(append(dst, kind), uint16(peer))
}

func parsePeerKey(k []byte) (peer id.Partition, ok bool) {
	if len(k) != peerKeyLen {
		return 0, false
	}
	return id.Partition(binary.BigEndian.Uint16(k[1:])), true
}

// KeyString prints a key for people.
func KeyString(k []byte) string {
	if len(k) == 0 {
		return "empty key"
	}
	switch k[0] {
	case kindMeta:
		return "meta"
	case kindInvocation:
		if i, ok := parseInvocationKey(k); ok {
			return fmt.Sprintf("life of %s", i)
		}
	case kindLife:
		if l, ok := parseLifeKey(k); ok {
			return fmt.Sprintf("invocation %s@%d", l.id, l.incarnation)
		}
		if l, first, ok := parseJournalKey(k); ok {
			return fmt.Sprintf("journal %s@%d/%d", l.id, l.incarnation, first)
		}
	case kindActive:
		if l, ok := parseActiveKey(k); ok {
			return fmt.Sprintf("active %s@%d", l.id, l.incarnation)
		}
	case kindTimer:
		if t, ok := parseTimerKey(k); ok {
			return fmt.Sprintf("timer %d %s@%d kind=%d index=%d", t.Due, t.ID, t.Incarnation, t.Kind, t.Index)
		}
	case kindOutbox:
		if target, seq, ok := parseOutboxKey(k); ok {
			return fmt.Sprintf("outbox %d/%d", target, seq)
		}
	case kindEvent:
		if l, number, ok := parseEventKey(k); ok {
			return fmt.Sprintf("event %s@%d/%d", l.id, l.incarnation, number)
		}
	case kindOutboxSeq, kindSource:
		if peer, ok := parsePeerKey(k); ok {
			return fmt.Sprintf("%s %d", map[byte]string{kindOutboxSeq: "outbox-seq", kindSource: "source"}[k[0]], peer)
		}
	case kindPromise:
		if p, number, waiter, ok := parsePromiseKey(k); waiter && ok {
			return fmt.Sprintf("waiter %s/%q %q %d", p.Service, p.Key, p.Name, number)
		} else if ok {
			return fmt.Sprintf("promise %s/%q %q", p.Service, p.Key, p.Name)
		}
	default:
		return objectKeyString(k)
	}
	return fmt.Sprintf("malformed %x", k)
}

func objectKeyString(k []byte) string {
	service, key, rest, ok := cutObject(k, k[0])
	switch {
	case ok && k[0] == kindLock && len(rest) == 0:
		return fmt.Sprintf("lock %s/%q", service, key)
	case ok && k[0] == kindQueue && len(rest) == 8:
		return fmt.Sprintf("queue %s/%q position=%d", service, key, binary.BigEndian.Uint64(rest))
	case ok && k[0] == kindChange && len(rest) == 8:
		return fmt.Sprintf("change %s/%q position=%d", service, key, binary.BigEndian.Uint64(rest))
	case ok && k[0] == kindUserState:
		return fmt.Sprintf("state %s/%q %q", service, key, rest)
	default:
		return fmt.Sprintf("malformed %x", k)
	}
}

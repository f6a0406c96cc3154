package logstore

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/lsn"
)

const (
	groupVersion    = 1
	groupHeaderSize = 5
)

// Batch collects writes. Commit makes it empty for the next round.
type Batch struct {
	s   *Store
	b   *pebble.Batch
	key []byte
}

// NewBatch returns an empty batch.
func (s *Store) NewBatch() *Batch { return &Batch{s: s, b: s.db.NewBatch()} }

// Empty tells whether nothing is to be written.
func (b *Batch) Empty() bool { return b.b.Empty() }

// Len is the size of the batch in bytes.
func (b *Batch) Len() int { return b.b.Len() }

// Group puts count consecutive records; parts are their bytes in order, copied.
func (b *Batch) Group(l id.Loglet, first lsn.Offset, count uint32, parts ...[]byte) error {
	size := groupHeaderSize
	for _, p := range parts {
		size += len(p)
	}
	op := b.b.SetDeferred(groupKeySize, size)
	groupKey(op.Key[:0], l, first)
	op.Value[0] = groupVersion
	binary.LittleEndian.PutUint32(op.Value[1:], count)
	at := groupHeaderSize
	for _, p := range parts {
		at += copy(op.Value[at:], p)
	}
	return op.Finish()
}

// Identity puts whose records the loglet holds.
func (b *Batch) Identity(r logproto.Ref) error {
	le := binary.LittleEndian
	v := le.AppendUint64(make([]byte, 0, 16), r.Nonce)
	v = le.AppendUint32(le.AppendUint32(v, uint32(r.Sequencer.Node)), r.Sequencer.Generation)
	return b.set(kindIdentity, r.Loglet, v)
}

// Seal puts the seal.
func (b *Batch) Seal(l id.Loglet) error { return b.set(kindSeal, l, nil) }

// Known puts the known global tail.
func (b *Batch) Known(l id.Loglet, known lsn.Offset) error {
	return b.set(kindKnown, l, binary.LittleEndian.AppendUint32(nil, uint32(known)))
}

// Trim puts the trim point and deletes the groups that lie below it wholly.
func (b *Batch) Trim(l id.Loglet, through lsn.Offset) error {
	end := through + 1
	rd, err := b.s.Reader(l)
	if err != nil {
		return err
	}
	if rd.it.SeekLT(groupKey(nil, l, end)) { // the group that straddles the point stays
		run, err := rd.run()
		if err == nil && run.End() > end {
			end = run.First
		}
		if err != nil {
			_ = rd.Close() // the first error is the one to tell
			return err
		}
	}
	if err := rd.Close(); err != nil {
		return err
	}
	if err := b.b.DeleteRange(groupKey(nil, l, 0), groupKey(nil, l, end), nil); err != nil {
		return err
	}
	return b.set(kindTrim, l, binary.LittleEndian.AppendUint32(nil, uint32(through)))
}

func (b *Batch) set(kind byte, l id.Loglet, v []byte) error {
	b.key = metaKey(b.key[:0], kind, l)
	return b.b.Set(b.key, v, nil)
}

// Commit writes the batch; with sync it is durable when Commit returns. After an error nothing is known.
func (b *Batch) Commit(sync bool) error {
	opts := pebble.NoSync
	if sync {
		opts = pebble.Sync
	}
	began, bytes := b.s.clock.Now(), b.b.Len()
	if err := b.s.db.Apply(b.b, opts); err != nil {
		return fmt.Errorf("commit to log store: %w", err)
	}
	b.s.stat.Wrote(bytes, b.s.clock.Now().Sub(began))
	b.b.Reset()
	return nil
}

// Close gives the batch's memory back.
func (b *Batch) Close() error { return b.b.Close() }

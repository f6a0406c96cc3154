package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

// Versions of the documents, and how large they may be.
const (
	latestVersion   = "V2"
	metadataVersion = "V1"

	latestBytesMax   = 1 << 20
	metadataBytesMax = 64 << 20
)

// Ref names a snapshot.
type Ref struct {
	SnapshotID    string    `json:"snapshot_id"`
	MinAppliedLSN lsn.LSN   `json:"min_applied_lsn"`
	CreatedAt     time.Time `json:"created_at"`
	Path          string    `json:"path"`
	Checksum      string    `json:"xxh3"` // of its metadata
}

// Latest is the pointer of a partition, latest.json.
type Latest struct {
	Version            string       `json:"version"`
	PartitionID        id.Partition `json:"partition_id"`
	LogID              id.Partition `json:"log_id"`
	ClusterName        string       `json:"cluster_name"`
	ClusterFingerprint string       `json:"cluster_fingerprint"`
	NodeName           string       `json:"node_name"`
	Ref
	Retained []Ref `json:"retained_snapshots"` // newest first; the first is the one above
}

// Archived is the LSN from which on the log is needed: the oldest retained snapshot holds all up to it.
func (l *Latest) Archived() lsn.LSN { return l.Retained[len(l.Retained)-1].MinAppliedLSN }

// KeyRange is the range of partition keys, inclusive.
type KeyRange struct {
	Start uint64 `json:"start"`
	End   uint64 `json:"end"`
}

// File is one file of a snapshot.
type File struct {
	Name        string `json:"name"`               // in the folder of the database
	Path        string `json:"path"`               // of the object, below the folder of the partition
	Incarnation uint64 `json:"incarnation,string"` // of the store that wrote it
	SizeBytes   int64  `json:"size"`
	Checksum    string `json:"xxh3"` // 128 bits, hex
}

// Metadata is what a snapshot consists of, metadata.json.
type Metadata struct {
	Version            string       `json:"version"`
	ClusterName        string       `json:"cluster_name"`
	ClusterFingerprint string       `json:"cluster_fingerprint"`
	PartitionID        id.Partition `json:"partition_id"`
	LogID              id.Partition `json:"log_id"`
	NodeName           string       `json:"node_name"`
	CreatedAt          time.Time    `json:"created_at"`
	SnapshotID         string       `json:"snapshot_id"`
	KeyRange           KeyRange     `json:"key_range"`
	MinAppliedLSN      lsn.LSN      `json:"min_applied_lsn"`
	Files              []File       `json:"files"`
}

// checksumOf returns the checksum of a document.
func checksumOf(b []byte) string { return hexSum(xxh3.Hash128(b)) }

func hexSum(u xxh3.Uint128) string { return fmt.Sprintf("%016x%016x", u.Hi, u.Lo) }

const checksumLen = 32

// owner is whose snapshots a repository takes.
type owner struct {
	name        string
	fingerprint string
}

func (o owner) check(name, fingerprint string) error {
	if name != o.name || fingerprint != o.fingerprint {
		return errs.Newf(errs.Invalid, "it is of cluster %q (%s), this one is %q (%s): set worker.snapshots.destination to a folder of its own", name, fingerprint, o.name, o.fingerprint)
	}
	return nil
}

// parseLatest decodes a pointer and checks all that does not need another document.
func parseLatest(b []byte, o owner, p id.Partition) (*Latest, error) {
	l := &Latest{}
	if err := decode(b, l, latestVersion, func() string { return l.Version }); err != nil {
		return nil, err
	}
	if err := o.check(l.ClusterName, l.ClusterFingerprint); err != nil {
		return nil, err
	}
	if l.PartitionID != p || l.LogID != p {
		return nil, errs.Newf(errs.Corrupt, "it is of partition %d and log %d, in the folder of %d", l.PartitionID, l.LogID, p)
	}
	if len(l.Retained) == 0 || l.Retained[0] != l.Ref {
		return nil, errs.Newf(errs.Corrupt, "its newest snapshot is not the first that it retains")
	}
	for i, r := range l.Retained {
		at, s, ok := parseFolder(r.Path)
		if !ok || at != r.MinAppliedLSN || s.String() != r.SnapshotID || len(r.Checksum) != checksumLen {
			return nil, errs.Newf(errs.Corrupt, "snapshot %q does not stand at %q", r.SnapshotID, r.Path)
		}
		if i > 0 && at >= l.Retained[i-1].MinAppliedLSN {
			return nil, errs.Newf(errs.Corrupt, "snapshots are not in order: %d before %d", l.Retained[i-1].MinAppliedLSN, at)
		}
	}
	return l, nil
}

// parseMetadata decodes the metadata that ref names.
func parseMetadata(b []byte, o owner, p id.Partition, ref Ref) (*Metadata, error) {
	if got := checksumOf(b); got != ref.Checksum {
		return nil, errs.Newf(errs.Corrupt, "it is damaged: its checksum is %s, it should be %s", got, ref.Checksum)
	}
	m := &Metadata{}
	if err := decode(b, m, metadataVersion, func() string { return m.Version }); err != nil {
		return nil, err
	}
	if err := o.check(m.ClusterName, m.ClusterFingerprint); err != nil {
		return nil, err
	}
	if m.PartitionID != p || m.SnapshotID != ref.SnapshotID || m.MinAppliedLSN != ref.MinAppliedLSN {
		return nil, errs.Newf(errs.Corrupt, "it is of snapshot %s of partition %d at %d", m.SnapshotID, m.PartitionID, m.MinAppliedLSN)
	}
	names := make(map[string]bool, len(m.Files))
	for i := range m.Files {
		f := &m.Files[i]
		at, name, ok := splitPath(f.Path)
		if !ok || !plainName(f.Name) || names[f.Name] || at > m.MinAppliedLSN || f.SizeBytes < 0 || len(f.Checksum) != checksumLen || name != objectName(f) {
			return nil, errs.Newf(errs.Corrupt, "file %q at %q makes no sense", f.Name, f.Path)
		}
		names[f.Name] = true
	}
	if len(m.Files) == 0 {
		return nil, errs.Newf(errs.Corrupt, "it has no files")
	}
	return m, nil
}

// decode decodes a document. A version that is not known is a newer one.
func decode(b []byte, to any, want string, version func() string) error {
	if err := json.Unmarshal(b, to); err != nil {
		return errs.With(errs.Corrupt, fmt.Errorf("it is damaged: %w", err))
	}
	if got := version(); got != want {
		return errs.Newf(errs.Unsupported, "its version is %q, this binary knows %q", got, want)
	}
	return nil
}

func encode(document any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(document)
	return b.Bytes(), err
}

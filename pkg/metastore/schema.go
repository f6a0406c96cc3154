package metastore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
)

// A schema is a root, which is swapped, and documents, which never change: a deployment each, cut into chunks
// that are named by what is in them. So a change writes what it changes and a list of names, whatever else
// there is, and a request stays below what etcd takes (1.5 MiB if it is not told otherwise).
//
// A swap holds only if the root is the one that was read and the chunks that it adds are as this writer put
// them. Chunks that the new root does not name go in the same transaction, so the root never names a chunk that is
// not there. What writers left behind that died goes with a change by a process that has just read all there is,
// as it does for its first one.

const (
	// chunkBytesMax is small enough for any etcd, with room for what is around it.
	chunkBytesMax = 512 << 10
	// freshChunksMax is how many chunks a change may add (64 MiB): each is a condition of the swap.
	freshChunksMax = TxnOpsMax - 1
)

// Schema returns the schema; before the first deployment an empty one of version 0.
func (s *Store) Schema(ctx context.Context) (sch *storedv1.Schema, err error) {
	err = s.tries(ctx, slowTry, func(ctx context.Context) error {
		now, err := s.readSchema(ctx)
		if err != nil {
			return err
		}
		sch = now.schema
		return nil
	})
	return sch, err
}

// storedSchema is what is stored of a schema at one revision.
type storedSchema struct {
	schema   *storedv1.Schema
	root     []byte
	revision int64                                          // that wrote the root; 0: there is none
	refs     map[*storedv1.Deployment]*storedv1.DocumentRef // of what is stored
	chunks   map[string]bool                                // keys of the chunks that were seen: true if the root names it
}

// readSchema reads the root, and the documents only if there is one among them that this process has not read
// before.
func (s *Store) readSchema(ctx context.Context) (*storedSchema, error) {
	items, _, err := s.kv.Read(ctx, Range{Key: s.keys.schema()})
	if err != nil {
		return nil, err
	}
	out, err := s.assemble(items[0], nil)
	if !errs.Is(err, errs.Corrupt) {
		return out, err
	}
	if items, _, err = s.kv.Read(ctx, Range{Key: s.keys.schema()}, Range{Key: s.keys.documents(), Prefix: true}); err != nil {
		return nil, err
	}
	return s.assemble(items[0], items[1])
}

// assemble makes a schema of a root, chunks and what is known.
func (s *Store) assemble(root, chunks []Item) (*storedSchema, error) {
	doc := &storedv1.Schema{}
	out := &storedSchema{chunks: map[string]bool{}, refs: map[*storedv1.Deployment]*storedv1.DocumentRef{}}
	var err error
	if out.revision, err = decode(root, doc); err != nil {
		return nil, err
	}
	if out.revision != 0 {
		out.root = root[0].Value
	}
	at := make(map[string][]byte, len(chunks))
	for _, it := range chunks {
		at[it.Key] = it.Value
		out.chunks[it.Key] = false
	}
	s.mu.Lock()
	out.schema, err = s.known.assemble(doc, func(hash []byte) ([]byte, bool) {
		b, ok := at[s.keys.document(hash)]
		return b, ok
	})
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	inline := len(out.schema.GetDeployments()) - len(doc.GetDocuments())
	for i, ref := range doc.GetDocuments() {
		out.refs[out.schema.GetDeployments()[inline+i]] = ref
		for _, hash := range ref.GetChunks() {
			out.chunks[s.keys.document(hash)] = true
		}
	}
	return out, nil
}

// UpdateSchema stores what f makes of the schema, with the next version, and returns it. f may be
// called several times, must not change its argument, and returns it to change nothing.
func (s *Store) UpdateSchema(ctx context.Context, f func(*storedv1.Schema) (*storedv1.Schema, error)) (*storedv1.Schema, error) {
	var mine []byte             // the root that the last try wanted to write: the outcome may be unknown
	var result *storedv1.Schema // what goes with it
	err := s.change(ctx, func(ctx context.Context) error {
		now, err := s.readSchema(ctx)
		if err != nil {
			return err
		}
		if mine != nil && bytes.Equal(now.root, mine) {
			return nil // it came through
		}
		next, err := f(now.schema)
		if err != nil {
			return final(err)
		}
		if next == now.schema {
			result = next
			return nil
		}
		next.Version = now.schema.Version + 1
		root, fresh, err := s.cut(next, now)
		if err != nil {
			return err
		}
		conds, err := s.putChunks(ctx, fresh)
		if err != nil {
			return err
		}
		mine, result = root.Value, next
		conds = append(conds, Cond{Key: root.Key, Modified: now.revision})
		if err := s.write(ctx, conds, append([]Write{root.Write}, root.unnamed(now.chunks)...)...); err != nil {
			return err
		}
		s.remember(next, root.documents)
		return nil
	})
	var f2 *finalError
	if errors.As(err, &f2) {
		return nil, f2.err // the caller's own error, as it was
	}
	if err != nil {
		return nil, fmt.Errorf("update schema: %w", err)
	}
	return result, nil
}

// remember spares the next change the reading of what this one wrote.
func (s *Store) remember(sch *storedv1.Schema, refs []*storedv1.DocumentRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range sch.GetDeployments() {
		s.known[documentName(refs[i])] = d
	}
}

// schemaRoot is the write of a root, with what it names.
type schemaRoot struct {
	Write

	documents []*storedv1.DocumentRef // one for each deployment
	named     map[string]bool         // keys of chunks
}

// unnamed deletes the chunks that the root does not name, as many as fit beside it into one transaction.
func (r schemaRoot) unnamed(chunks map[string]bool) (deletes []Write) {
	for _, key := range slices.Sorted(maps.Keys(chunks)) {
		if !r.named[key] && len(deletes) < TxnOpsMax-1 {
			deletes = append(deletes, Write{Key: key, Delete: true})
		}
	}
	return deletes
}

// cut makes root and chunks of a schema. fresh are the chunks that the present root does not name. A deployment
// that came from the store is not encoded again: it is never changed.
func (s *Store) cut(sch *storedv1.Schema, now *storedSchema) (root schemaRoot, fresh []Write, err error) {
	doc := &storedv1.Schema{Version: sch.GetVersion()}
	root.named = map[string]bool{}
	for _, d := range sch.GetDeployments() {
		ref := now.refs[d]
		if ref == nil {
			var chunks [][]byte
			if ref, chunks, err = newDocument(d); err != nil {
				return root, nil, err
			}
			for i, hash := range ref.GetChunks() {
				key := s.keys.document(hash)
				if !now.chunks[key] && !root.named[key] {
					fresh = append(fresh, Write{Key: key, Value: chunks[i]})
				}
				root.named[key] = true
			}
		}
		for _, hash := range ref.GetChunks() {
			root.named[s.keys.document(hash)] = true
		}
		doc.Documents = append(doc.Documents, ref)
	}
	if len(fresh) > freshChunksMax {
		return root, nil, errs.Newf(errs.Invalid, "a change of the schema adds %d chunks of %d bytes, more than %d", len(fresh), chunkBytesMax, freshChunksMax)
	}
	root.documents = doc.GetDocuments()
	root.Write, err = put(s.keys.schema(), doc)
	return root, fresh, err
}

func newDocument(d *storedv1.Deployment) (ref *storedv1.DocumentRef, chunks [][]byte, err error) {
	b, err := d.MarshalVT()
	if err != nil {
		return nil, nil, errs.Newf(errs.Internal, "encode a deployment: %w", err)
	}
	ref = &storedv1.DocumentRef{}
	for chunk := range slices.Chunk(b, chunkBytesMax) {
		hash := sha256.Sum256(chunk)
		ref.Chunks, chunks = append(ref.Chunks, hash[:]), append(chunks, chunk)
	}
	return ref, chunks, nil
}

// putChunks writes chunks and returns that nobody writes or deletes them until they are named.
func (s *Store) putChunks(ctx context.Context, chunks []Write) (untouched []Cond, err error) {
	for _, w := range chunks {
		_, rev, err := s.kv.Txn(ctx, nil, []Write{w})
		if err != nil {
			return nil, err
		}
		untouched = append(untouched, Cond{Key: w.Key, Modified: rev})
	}
	return untouched, nil
}

// documents are decoded deployments, by the names of their chunks.
type documents map[string]*storedv1.Deployment

// assemble makes a schema of a root. What is decoded already is taken from d, which then holds what the schema
// has and nothing else.
func (d documents) assemble(root *storedv1.Schema, chunk func(hash []byte) ([]byte, bool)) (*storedv1.Schema, error) {
	out := &storedv1.Schema{Version: root.GetVersion(), Deployments: root.GetDeployments()}
	used := make(map[string]bool, len(root.GetDocuments()))
	for _, ref := range root.GetDocuments() {
		name := documentName(ref)
		if d[name] == nil {
			one, err := readDocument(ref, chunk)
			if err != nil {
				return nil, err
			}
			d[name] = one
		}
		used[name] = true
		out.Deployments = append(out.Deployments, d[name])
	}
	for name := range d {
		if !used[name] {
			delete(d, name)
		}
	}
	return out, nil
}

func documentName(ref *storedv1.DocumentRef) string { return string(bytes.Join(ref.GetChunks(), nil)) }

func readDocument(ref *storedv1.DocumentRef, chunk func(hash []byte) ([]byte, bool)) (*storedv1.Deployment, error) {
	var whole []byte
	for _, hash := range ref.GetChunks() {
		b, ok := chunk(hash)
		if !ok {
			return nil, errs.Newf(errs.Corrupt, "the schema names document %x, which is not there", hash)
		}
		if sum := sha256.Sum256(b); !bytes.Equal(sum[:], hash) {
			return nil, errs.Newf(errs.Corrupt, "document %x has other bytes than it was written with", hash)
		}
		whole = append(whole, b...)
	}
	d := &storedv1.Deployment{}
	if err := d.UnmarshalVT(whole); err != nil {
		return nil, errs.Newf(errs.Corrupt, "decode a deployment: %w", err)
	}
	return d, nil
}

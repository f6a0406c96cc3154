package metastore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// Log is the chain of a log.
type Log struct {
	Chain   *storedv1.Chain // all segments, also those in pages
	Version int64           // revision that wrote it last; 0: nothing was ever written
}

// Facts are what a change of a node is judged by, as one quorum read found them.
type Facts struct {
	Cluster *storedv1.Cluster
	Nodes   []*storedv1.Node // by id
	Epochs  []*storedv1.Epoch
	Logs    []Log
	Present []id.GenerationalNode // processes that hold a lease

	Directives []*storedv1.Directive // by partition

	revision      int64
	nodesModified map[uint32]int64
}

// Node returns the node of an id, or nil.
func (f *Facts) Node(n id.Node) *storedv1.Node {
	if i := slices.IndexFunc(f.Nodes, func(node *storedv1.Node) bool { return node.Id == uint32(n) }); i >= 0 {
		return f.Nodes[i]
	}
	return nil
}

// Logs reads the chains of all partitions.
func (s *Store) Logs(ctx context.Context) (logs []Log, cluster *storedv1.Cluster, err error) {
	f, err := s.Facts(ctx)
	if err != nil {
		return nil, nil, err
	}
	return f.Logs, f.Cluster, nil
}

// Facts reads through a quorum, in short tries until ctx ends.
func (s *Store) Facts(ctx context.Context) (f *Facts, err error) {
	err = s.tries(ctx, slowTry, func(ctx context.Context) (err error) {
		f, err = s.facts(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	return f, nil
}

func (s *Store) facts(ctx context.Context) (*Facts, error) {
	k := s.keys
	got, rev, err := s.kv.Read(ctx, Range{Key: k.cluster()}, Range{Key: k.nodes(), Prefix: true}, Range{Key: k.epochs(), Prefix: true},
		Range{Key: k.chains(), Prefix: true}, Range{Key: k.allPages(), Prefix: true}, Range{Key: k.presences(), Prefix: true},
		Range{Key: k.directives(), Prefix: true})
	if err != nil {
		return nil, err
	}
	f := &Facts{Cluster: &storedv1.Cluster{}, revision: rev, nodesModified: map[uint32]int64{}}
	if found, err := decode(got[0], f.Cluster); err != nil {
		return nil, err
	} else if found == 0 {
		return nil, errs.Newf(errs.NotFound, "cluster %s is not provisioned", s.name)
	}
	for i := range got[1] {
		n := &storedv1.Node{}
		modified, err := decode(got[1][i:i+1], n)
		if err != nil {
			return nil, err
		}
		f.Nodes, f.nodesModified[n.Id] = append(f.Nodes, n), modified
	}
	if f.Epochs, err = ofPartitions(f.Cluster.Partitions, got[2], k.epochs(), func() *storedv1.Epoch { return &storedv1.Epoch{} }); err != nil {
		return nil, err
	}
	if f.Directives, err = ofPartitions(f.Cluster.Partitions, got[6], k.directives(), func() *storedv1.Directive { return &storedv1.Directive{} }); err != nil {
		return nil, err
	}
	for _, it := range got[5] {
		n, ok := number(it.Key, k.presences(), 32)
		g, err := parseDecimal(it.Value)
		if !ok || err != nil {
			return nil, errs.Newf(errs.Corrupt, "decode %s", it.Key)
		}
		f.Present = append(f.Present, id.GenerationalNode{Node: id.Node(n), Generation: g})
	}
	f.Logs, err = s.logsOf(f.Cluster.Partitions, got[3], got[4])
	return f, err
}

// ofPartitions decodes one document of each partition; empty ones stand for those that do not exist.
func ofPartitions[M message](partitions uint32, items []Item, prefix string, empty func() M) ([]M, error) {
	all := make([]M, partitions)
	for p := range all {
		all[p] = empty()
	}
	for i, it := range items {
		p, ok := number(it.Key, prefix, 16)
		if !ok || p >= uint64(partitions) {
			continue // of a partition that does not exist: nothing reads it
		}
		if _, err := decode(items[i:i+1], all[p]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// logsOf joins pages, which come in order, and the chains behind them.
func (s *Store) logsOf(partitions uint32, chains, pages []Item) ([]Log, error) {
	logs, paged, tails := make([]Log, partitions), make([][]Item, partitions), make([]*storedv1.Chain, partitions)
	for _, it := range pages {
		partition, _, _ := strings.Cut(strings.TrimPrefix(it.Key, s.keys.allPages()), "/")
		p, err := strconv.ParseUint(partition, 16, 16)
		if err != nil || p >= uint64(partitions) {
			continue // of a partition that does not exist: nothing reads it
		}
		paged[p] = append(paged[p], it)
	}
	for p := range tails {
		tails[p] = &storedv1.Chain{}
	}
	for i, it := range chains {
		p, ok := number(it.Key, s.keys.chains(), 16)
		if !ok || p >= uint64(partitions) {
			continue
		}
		version, err := decode(chains[i:i+1], tails[p])
		if err != nil {
			return nil, err
		}
		logs[p].Version = version
	}
	for p := range logs {
		var err error
		if logs[p].Chain, _, err = joinPages(id.Partition(p), tails[p], paged[p]); err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// ChangeNode lets an operator change a node. decide judges what one quorum read found and returns the node as it shall be,
// or nil to remove it; it is asked again if the cluster, nodes, epochs or chains changed before that was written. The name of a removed
// node is free, its id is never given out again.
func (s *Store) ChangeNode(ctx context.Context, n id.Node, decide func(*Facts) (*storedv1.Node, error)) (now *storedv1.Node, err error) {
	err = s.change(ctx, func(ctx context.Context) (err error) {
		now, err = s.changeNodeOnce(ctx, n, decide)
		return err
	})
	return now, err
}

func (s *Store) changeNodeOnce(ctx context.Context, n id.Node, decide func(*Facts) (*storedv1.Node, error)) (*storedv1.Node, error) {
	f, err := s.facts(ctx)
	if err != nil {
		return nil, err
	}
	was := f.Node(n)
	if was == nil {
		return nil, errs.Newf(errs.NotFound, "there is no node %s", n)
	}
	next, err := decide(f)
	if err != nil {
		return nil, err
	}
	key := s.keys.node(n)
	writes := []Write{{Key: key, Delete: true}, {Key: s.keys.name(was.Name), Delete: true}}
	if next != nil {
		if proto.Equal(was, next) { // also: an earlier try with an unknown outcome
			return was, nil
		}
		w, err := put(key, next)
		if err != nil {
			return nil, err
		}
		writes = []Write{w}
	}
	err = s.write(ctx, []Cond{
		{Key: key, Modified: f.nodesModified[was.Id]}, {Key: s.keys.nodes(), Modified: f.revision, Prefix: true}, {Key: s.keys.cluster(), Modified: f.revision, Prefix: true},
		{Key: s.keys.epochs(), Modified: f.revision, Prefix: true}, {Key: s.keys.chains(), Modified: f.revision, Prefix: true},
	}, writes...)
	return next, err
}

// Members asks the members of the metadata quorum how they stand.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	kv, ok := uncounted(s.kv).(interface {
		Members(ctx context.Context) ([]Member, error)
	})
	if !ok {
		return nil, errs.Newf(errs.Unsupported, "the metadata is not in etcd")
	}
	return kv.Members(ctx)
}

// Document reads a document by its name: cluster, schema, nodes/<id>, epochs/<partition>, chains/<partition> or directives/<partition>, with
// decimal numbers. A chain comes without what lies in pages.
func (s *Store) Document(ctx context.Context, name string) (m proto.Message, version int64, err error) {
	key, doc, err := s.documentOf(name)
	if err != nil {
		return nil, 0, err
	}
	err = s.tries(ctx, slowTry, func(ctx context.Context) error {
		got, _, err := s.kv.Read(ctx, Range{Key: key})
		if err != nil {
			return err
		}
		version, err = decode(got[0], doc)
		return err
	})
	if err == nil && version == 0 {
		err = errs.Newf(errs.NotFound, "there is no document %s", name)
	}
	if err != nil {
		return nil, 0, err
	}
	return doc, version, nil
}

// NewDocument returns an empty message of the kind of a document.
func (s *Store) NewDocument(name string) (proto.Message, error) {
	_, doc, err := s.documentOf(name)
	return doc, err
}

// PutDocument replaces a document of that version (0: there is none). It tries once: after errs.Uncertain, read it again.
// errs.Conflict: it has another version.
func (s *Store) PutDocument(ctx context.Context, name string, m proto.Message, version int64) error {
	key, _, err := s.documentOf(name)
	if err != nil {
		return err
	}
	doc, ok := m.(message)
	if !ok {
		return errs.Newf(errs.Internal, "%T is no document", m)
	}
	w, err := put(key, doc)
	if err != nil {
		return err
	}
	ok, _, err = s.kv.Txn(ctx, []Cond{{Key: key, Modified: version}}, []Write{w})
	if err == nil && !ok {
		err = errs.Newf(errs.Conflict, "%s has been changed since version %d: read it again", name, version)
	}
	return err
}

func (s *Store) documentOf(name string) (key string, doc message, err error) {
	kind, text, numbered := strings.Cut(name, "/")
	bits := 16
	if kind == "nodes" {
		bits = 32
	}
	n := uint64(0)
	if numbered {
		if n, err = strconv.ParseUint(text, 10, bits); err != nil {
			return "", nil, errs.Newf(errs.Invalid, "key %s: %q is no number", name, text)
		}
	}
	switch {
	case name == "cluster":
		return s.keys.cluster(), &storedv1.Cluster{}, nil
	case name == "schema":
		return s.keys.schema(), &storedv1.Schema{}, nil
	case kind == "nodes" && numbered:
		return s.keys.node(id.Node(n)), &storedv1.Node{}, nil
	case kind == "epochs" && numbered:
		return s.keys.epoch(id.Partition(n)), &storedv1.Epoch{}, nil
	case kind == "chains" && numbered:
		return s.keys.chain(id.Partition(n)), &storedv1.Chain{}, nil
	case kind == "directives" && numbered:
		return s.keys.directive(id.Partition(n)), &storedv1.Directive{}, nil
	}
	return "", nil, errs.Newf(errs.Invalid, "no document has the key %q: cluster, schema, nodes/<id>, epochs/<partition>, chains/<partition> or directives/<partition>", name)
}

package metastore

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/id"
)

// Roles of a node, as they are stored and shown.
const (
	RoleMetadata  = "metadata-server"
	RoleLogServer = "log-server"
	RoleWorker    = "worker"
	RoleIngress   = "http-ingress"
	RoleAdmin     = "admin"
)

// RegisterNode enters a process that starts: the node of its name gets the next generation, above
// lastGeneration too; a new name gets a plain id, forceID if that is not 0. States of a known node
// are kept. A repeat only wastes a generation. lastGeneration 0 says that the process has never been this node: it is
// refused with errs.Conflict while another one is, or died a moment ago.
func (s *Store) RegisterNode(ctx context.Context, spec *storedv1.Node, forceID, lastGeneration uint32) (*storedv1.Node, error) {
	var node *storedv1.Node
	err := s.change(ctx, func(ctx context.Context) (err error) {
		node, err = s.registerOnce(ctx, spec, forceID, lastGeneration)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("register node %s: %w", spec.Name, err)
	}
	return node, nil
}

func (s *Store) registerOnce(ctx context.Context, spec *storedv1.Node, forceID, lastGeneration uint32) (*storedv1.Node, error) {
	got, _, err := s.kv.Read(ctx, Range{Key: s.keys.name(spec.Name)}, Range{Key: s.keys.generations(), Prefix: true}, Range{Key: s.keys.nodes(), Prefix: true},
		Range{Key: s.keys.cluster()}, Range{Key: s.keys.presences(), Prefix: true})
	if err != nil {
		return nil, err
	}
	names, generations, nodes := got[0], got[1], got[2]
	versionCond, err := s.checkVersion(got[3], spec)
	if err != nil {
		return nil, err
	}
	node := proto.CloneOf(spec)
	conds := []Cond{{Key: s.keys.name(spec.Name)}, versionCond}
	if len(names) == 0 {
		node.Id = forceID
		if node.Id == 0 {
			node.Id = nextID(generations, s.keys.generations())
		}
	} else {
		if node.Id, err = parseDecimal(names[0].Value); err != nil {
			return nil, errs.Newf(errs.Corrupt, "decode %s: %w", names[0].Key, err)
		}
		if forceID != 0 && forceID != node.Id {
			return nil, errs.Newf(errs.Invalid, "this name has id N%d, force-node-id says N%d: change force-node-id or node-name", node.Id, forceID)
		}
		conds[0].Modified = names[0].Modified
		if lastGeneration == 0 { // a folder that never was this node's
			if err := s.checkAlone(spec.Name, id.Node(node.Id), nodes, got[4]); err != nil {
				return nil, err
			}
		}
	}
	genKey, nodeKey := s.keys.generation(id.Node(node.Id)), s.keys.node(id.Node(node.Id))
	was, genRev, err := generationIn(generations, genKey)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 && genRev != 0 {
		return nil, errs.Newf(errs.Invalid, "id N%d belongs or belonged to another node: choose another force-node-id", node.Id)
	}
	node.Generation = max(was, lastGeneration) + 1
	nodeRev := int64(0)
	for _, it := range nodes {
		if it.Key == nodeKey {
			old := &storedv1.Node{}
			if nodeRev, err = decode([]Item{it}, old); err != nil {
				return nil, err
			}
			node.StorageState, node.WorkerState = old.StorageState, old.WorkerState
		}
	}
	firstStates(node)
	w, err := put(nodeKey, node)
	if err != nil {
		return nil, err
	}
	conds = append(conds, Cond{Key: genKey, Modified: genRev}, Cond{Key: nodeKey, Modified: nodeRev})
	return node, s.write(ctx, conds,
		Write{Key: s.keys.name(node.Name), Value: decimal(node.Id)}, Write{Key: genKey, Value: decimal(node.Generation)}, w)
}

// checkAlone refuses an empty folder under the name of a node that runs: it would end that process, and lose what is stored there.
func (s *Store) checkAlone(name string, n id.Node, nodes, presences []Item) error {
	for _, p := range presences {
		if p.Key != s.keys.presence(n) {
			continue
		}
		at := ""
		for i, it := range nodes {
			old := &storedv1.Node{}
			if it.Key != s.keys.node(n) {
				continue
			}
			if _, err := decode(nodes[i:i+1], old); err != nil {
				return err
			}
			at = " at " + old.Address
		}
		return errs.Newf(errs.Conflict, "a node %s runs as %s:%s%s, and this data folder is not its own: give this process another node-name, or the base-dir of that one",
			name, n, p.Value, at)
	}
	return nil
}

// firstStates gives a role that a node has for the first time its first state.
func firstStates(n *storedv1.Node) {
	for _, role := range n.Roles {
		if role == RoleLogServer && n.StorageState == storedv1.StorageState_STORAGE_STATE_UNSPECIFIED {
			n.StorageState = storedv1.StorageState_STORAGE_STATE_PROVISIONING
		}
		if role == RoleWorker && n.WorkerState == storedv1.WorkerState_WORKER_STATE_UNSPECIFIED {
			n.WorkerState = storedv1.WorkerState_WORKER_STATE_ACTIVE
		}
	}
}

// nextID is one above every id that was ever given out.
func nextID(generations []Item, prefix string) uint32 {
	next := uint32(1)
	for _, it := range generations {
		if n, ok := number(it.Key, prefix, 32); ok && uint32(n) >= next {
			next = uint32(n) + 1
		}
	}
	return next
}

func generationIn(items []Item, key string) (generation uint32, revision int64, err error) {
	for _, it := range items {
		if it.Key == key {
			if generation, err = parseDecimal(it.Value); err != nil {
				return 0, 0, errs.Newf(errs.Corrupt, "decode %s: %w", key, err)
			}
			return generation, it.Modified, nil
		}
	}
	return 0, 0, nil
}

// Nodes returns all registered nodes by id.
func (s *Store) Nodes(ctx context.Context) (nodes []*storedv1.Node, err error) {
	err = s.tries(ctx, slowTry, func(ctx context.Context) error {
		got, _, err := s.kv.Read(ctx, Range{Key: s.keys.nodes(), Prefix: true})
		if err != nil {
			return err
		}
		nodes = make([]*storedv1.Node, len(got[0]))
		for i := range got[0] {
			nodes[i] = &storedv1.Node{}
			if _, err := decode(got[0][i:i+1], nodes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return nodes, err
}

// SetStorageState moves the log store of this process from one state to another. errs.Conflict: it is
// in neither; errs.Fenced: a newer process of this node has started.
func (s *Store) SetStorageState(ctx context.Context, me id.GenerationalNode, from, to storedv1.StorageState) error {
	err := s.change(ctx, func(ctx context.Context) error {
		got, _, err := s.kv.Read(ctx, Range{Key: s.keys.node(me.Node)})
		if err != nil {
			return err
		}
		n := &storedv1.Node{}
		rev, err := decode(got[0], n)
		if err != nil {
			return err
		}
		switch {
		case rev == 0:
			return errs.Newf(errs.Fenced, "the node was removed")
		case n.Generation != me.Generation:
			return errs.Newf(errs.Fenced, "generation %d of this node has started", n.Generation)
		case n.StorageState == to: // also: an earlier try with an unknown outcome
			return nil
		case n.StorageState != from:
			return errs.Newf(errs.Conflict, "it is %s, not %s", n.StorageState, from)
		}
		n.StorageState = to
		w, err := put(s.keys.node(me.Node), n)
		if err != nil {
			return err
		}
		return s.write(ctx, []Cond{{Key: w.Key, Modified: rev}}, w)
	})
	if err != nil {
		return fmt.Errorf("set storage state of %s: %w", me, err)
	}
	return nil
}

package wire

import (
	"bytes"
	"context"
	"strings"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/pkg/query/table"
	"reprise/services/internal/node"
)

// cluster shows what a node knows as the catalog of the cluster asks for it.
type cluster struct{ node *node.Node }

// leader is the other node that leads a partition; 0: it is this one, or nobody does.
func (c cluster) leader(p id.Partition) id.Node {
	epochs := c.node.View.Current().Epochs
	if int(p) >= len(epochs) || id.Node(epochs[p].GetNode()) == c.node.Member.ID.Node {
		return 0
	}
	return id.Node(epochs[p].GetNode())
}

func (c cluster) now() table.Cluster {
	s := c.node.View.Current()
	out := table.Cluster{Nodes: s.Nodes, Alive: map[uint32]uint32{}, Epochs: s.Epochs, Self: c.node.Member.ID, Setting: c.settings()}
	for _, p := range s.Present {
		out.Alive[uint32(p.ID.Node)] = p.ID.Generation
	}
	return out
}

func (c cluster) chain(ctx context.Context, p id.Partition) (*storedv1.Chain, error) {
	l, err := c.node.Meta.Lineage(ctx, p)
	return l.Chain, err
}

// settings are those of this node, with dotted keys; secrets are masked.
func (c cluster) settings() (out []table.Setting) {
	var b bytes.Buffer
	if err := c.node.Live.Current().Dump(&b); err != nil { // a buffer takes everything
		return nil
	}
	section := ""
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]") + "."
		} else if key, value, ok := strings.Cut(line, " = "); ok {
			out = append(out, table.Setting{Key: section + key, Value: strings.Trim(value, `"`)})
		}
	}
	return out
}

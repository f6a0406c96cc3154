package command

import (
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"
)

func (r *runner) status() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show the cluster, a node on each line", Flags: []cli.Flag{extraFlag(), jsonFlag()},
		Action: r.bare(func(c *cli.Context) error {
			v, err := r.look(c)
			if err != nil {
				return err
			}
			title, overview := fmt.Sprintf("Node Configuration (v%d)\n", v.NodesVersion), v.overviewTable()
			if !c.Bool("extra") {
				return r.show(title, overview)
			}
			nodes, logs, partitions := v.nodesTable(true), logsTable(v.logs), v.partitionsTable()
			members, err := r.membersTable(c)
			if err != nil { // an etcd that is not ours
				r.warn("nothing is known about the members of the metadata quorum: %s", err)
				members = &listing{}
			}
			if r.json {
				return r.printJSON(map[string]any{
					"status": overview.objects(), "nodes": nodes.objects(), "logs": logs.objects(), "partitions": partitions.objects(), "metadata": members.objects(),
				})
			}
			r.printf("%s%s\n%s\nLogs\n%s\nPartition processors\n%s", title, overview.table(r.style), nodes.table(r.style), logs.table(r.style), partitions.table(r.style))
			if len(members.rows) > 0 {
				r.printf("\nMetadata servers\n%s", members.table(r.style))
			}
			return nil
		}),
	}
}

// overviewTable has a line for each node.
func (v *view) overviewTable() *listing {
	l := &listing{header: []string{"NODE-ID", "NAME", "UPTIME", "METADATA", "LEADER", "FOLLOWER", "NODESET-MEMBER", "SEQUENCER", "ROLES"}}
	for i, n := range v.Nodes {
		var up, leads, follows any = "offline", nil, nil
		if ident := v.idents[i]; ident != nil {
			up = uptime(ident.UptimeMs)
		} else if lives(v.OverviewResponse, n.Id) {
			up = "alive" // it tells the metadata daemons so, but not us
		}
		if a := attendant(v.OverviewResponse, n.Id); a != nil && slices.Contains(n.Roles, "worker") {
			leads, follows = roleCount(a, leading), roleCount(a, following)
		}
		inNodesets, sequences := v.logCounts(n.Id)
		l.add(generational(n.Id, n.Generation), n.Name, up, metadataState(n), leads, follows, inNodesets, sequences, roles(slices.Sorted(slices.Values(n.Roles))))
	}
	return l
}

// logCounts counts the logs that a node is in the last nodeset of, and those that it sequences.
func (v *view) logCounts(n uint32) (inNodesets, sequences any) {
	if v.logs == nil {
		return nil, nil
	}
	in, seq := 0, 0
	for _, l := range v.logs {
		t := tailOf(l)
		if t == nil {
			continue
		}
		if slices.Contains(t.Loglet.Nodeset, n) {
			in++
		}
		if t.Loglet.SequencerNode == n {
			seq++
		}
	}
	return in, seq
}

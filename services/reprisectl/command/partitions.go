package command

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/services/internal/argv"
)

// What a worker is to a partition.
const (
	leading   = clusterv1.PartitionRole_PARTITION_ROLE_LEADS
	following = clusterv1.PartitionRole_PARTITION_ROLE_FOLLOWS
	parked    = clusterv1.PartitionRole_PARTITION_ROLE_PARKED
)

func (r *runner) partitions() *cli.Command {
	return &cli.Command{
		Name: "partitions", Aliases: []string{"partition", "part"}, Usage: "look at partitions and move their leaders",
		Subcommands: []*cli.Command{
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the partition processors that live", Flags: []cli.Flag{jsonFlag()}, Action: r.bare(r.partitionsList)},
			{
				Name: "leadership", Usage: "look at who leads, and move leaders",
				Subcommands: append([]*cli.Command{
					{Name: "show", Usage: "show who leads which partition", ArgsUsage: "[PARTITIONS]", Flags: []cli.Flag{jsonFlag()}, Action: r.with(r.leadershipShow)},
					{
						Name: "move", Usage: "let another worker that holds a partition lead it now", ArgsUsage: "PARTITIONS", Action: r.with(r.leadershipMove),
						Flags: []cli.Flag{&cli.StringFlag{Name: "node", Usage: "`ID` of the worker; without it, any other that is up to date"}, jsonFlag()},
					},
				}, r.leadershipSteering()...),
			},
			r.placement(),
		},
	}
}

func (r *runner) partitionsList(c *cli.Context) error {
	o, err := r.overview(c)
	if err != nil {
		return err
	}
	v := &view{OverviewResponse: o}
	return r.show(fmt.Sprintf("Alive partition processors (nodes config v%d)\n", o.NodesVersion), v.partitionsTable())
}

// partitionsTable has a line for each partition at each worker that is heard of.
func (v *view) partitionsTable() *listing {
	l := &listing{header: []string{"ID", "NODE", "MODE", "STATUS", "EPOCH", "APPLIED", "DURABLE", "ARCHIVED", "LSN-LAG"}}
	for p, e := range v.Epochs {
		var leader *clusterv1.PartitionStatus // the newest that says so
		for _, a := range v.Attendants {
			if s := statusAt(a, p); s.GetRole() == leading && s.Epoch >= leader.GetEpoch() {
				leader = s
			}
		}
		for _, mode := range []clusterv1.PartitionRole{leading, following, parked} {
			for _, a := range v.Attendants {
				s := statusAt(a, p)
				if s.GetRole() != mode {
					continue
				}
				epoch := fmt.Sprintf("e%d", e.GetEpoch())
				if mode == leading {
					epoch = fmt.Sprintf("e%d", s.Epoch)
				}
				var archived any // as long as the leader knows of no snapshot, and of those who follow
				if s.Archived > 0 {
					archived = s.Archived
				}
				name, state, lag := described(s, leader)
				l.add(p, generational(a.Node, a.Generation), name, state, epoch, s.Applied, s.Durable, archived, lag)
			}
		}
	}
	return l
}

func statusAt(a *clusterv1.Attendant, p int) *clusterv1.PartitionStatus {
	if p >= len(a.Statuses) {
		return nil
	}
	return a.Statuses[p]
}

// lagMax is how far behind a follower is in every moment, since beats are not at once.
const lagMax = 1000

// described names what a processor does, and how many records it is behind the leader.
func described(s, leader *clusterv1.PartitionStatus) (mode, state string, lag any) {
	if leader != nil {
		lag = max(leader.Applied, s.Applied) - s.Applied
	}
	switch {
	case s.Role == leading && s.Epoch < leader.GetEpoch():
		return "Leader", "Superseded", lag
	case s.Role == leading:
		return "Leader", "Active", lag
	case s.Role == parked && s.Broken != "":
		return "Follower", fmt.Sprintf("Broken (%s)", s.Broken), lag
	case s.Role == parked:
		return "Follower", "Parked", lag
	case leader != nil && s.Applied+lagMax < leader.Applied:
		return "Follower", fmt.Sprintf("Catching Up (%d)", leader.Applied), lag
	default:
		return "Follower", "Active", lag
	}
}

func (r *runner) leadershipShow(c *cli.Context) error {
	v, err := r.overview(c)
	if err != nil {
		return err
	}
	ids, err := some(c, "<PARTITION>", len(v.Epochs))
	if err != nil {
		return err
	}
	l := &listing{header: []string{"PARTITION", "LEADER", "EPOCH", "REPLICAS", "PIN", "FREEZE"}}
	for _, p := range ids {
		e := v.Epochs[p]
		var leader any
		if e.Epoch > 0 {
			leader = generational(e.Node, e.Generation)
		}
		var pin any
		d := directiveOf(v, p)
		if d.Pin != 0 {
			pin = plain(d.Pin)
		}
		l.add(p, leader, fmt.Sprintf("e%d", e.Epoch), plains(e.Replicas), pin, frozenText(d.LeadershipFrozen))
	}
	return r.show("", l)
}

func (r *runner) leadershipMove(c *cli.Context) error {
	node := uint32(0)
	if text := c.String("node"); text != "" {
		var err error
		if node, err = parseID(text); err != nil || node == 0 {
			return argv.Usagef("invalid value '%s' for '--node': the id of a node, such as 1", text)
		}
	}
	return r.eachPartition(c, func(p uint32) error {
		var a *clusterv1.LeadResponse
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
			a, err = o.Lead(ctx, &clusterv1.LeadRequest{Partition: p, Node: node})
			return err
		})
		if err != nil {
			return err
		}
		was, now := generational(a.Was.GetNode(), a.Was.GetGeneration()), generational(a.Now.GetNode(), a.Now.GetGeneration())
		object := map[string]any{"partition": p, "leader": now, "epoch": a.Now.GetEpoch(), "was_leader": was, "was_epoch": a.Was.GetEpoch()}
		if a.Now.GetEpoch() == a.Was.GetEpoch() {
			r.changed(object, "Partition %d is led by %s already", p, now)
		} else {
			r.changed(object, "Partition %d is led by %s (e%d), was %s (e%d)", p, now, a.Now.GetEpoch(), was, a.Was.GetEpoch())
		}
		return nil
	})
}

package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/services/internal/argv"
)

// memberCommands change who is in the metadata quorum.
func (r *runner) memberCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "add-node", Usage: "let metadata daemons that stand by into the quorum", ArgsUsage: "NODES", Flags: []cli.Flag{jsonFlag()},
			Action: r.eachMember("come into", "comes into the metadata quorum: 'reprisectl metadata-server list' shows when it has learnt all", func(ctx context.Context, o clusterv1.OperatorServiceClient, n uint32) error {
				_, err := o.AddMember(ctx, &clusterv1.AddMemberRequest{Node: n})
				return err
			}),
		},
		{
			Name: "remove-node", Usage: "take metadata daemons out of the quorum; their processes end", ArgsUsage: "NODES", Flags: []cli.Flag{jsonFlag()},
			Action: r.eachMember("be taken out of", "is no member of the metadata quorum any more", func(ctx context.Context, o clusterv1.OperatorServiceClient, n uint32) error {
				_, err := o.RemoveMember(ctx, &clusterv1.RemoveMemberRequest{Node: n})
				return err
			}),
		},
	}
}

// eachMember changes the members that the arguments name, one after the other, up to the first that can not be changed.
func (r *runner) eachMember(toBe, was string, do func(context.Context, clusterv1.OperatorServiceClient, uint32) error) cli.ActionFunc {
	return r.with(func(c *cli.Context) error {
		if !c.Args().Present() {
			return argv.Usagef("the following required arguments were not provided: <NODES>")
		}
		nodes, err := parseIDs("<NODES>", c.Args().Slice())
		if err != nil {
			return err
		}
		if err := r.confirm(fmt.Sprintf("Nodes %v will %s the metadata quorum. Go on?", plains(nodes), toBe)); err != nil {
			return err
		}
		for i, n := range nodes {
			if err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) error { return do(ctx, o, n) }); err != nil {
				if i+1 < len(nodes) {
					return errors.Join(err, fmt.Errorf("%v were not tried", plains(nodes[i+1:])))
				}
				return err
			}
			r.changed(map[string]any{"node": plain(n), "result": was}, "Node %s %s", plain(n), was)
		}
		return nil
	})
}

package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/services/internal/argv"
)

func reasonFlag() cli.Flag {
	return &cli.StringFlag{Name: "reason", Usage: "`TEXT` that others are shown", Required: true}
}

func (r *runner) placement() *cli.Command {
	return &cli.Command{
		Name: "placement", Usage: "look at and decide who holds which partition",
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "show who holds which partition", ArgsUsage: "[PARTITIONS]", Flags: []cli.Flag{jsonFlag()}, Action: r.with(r.placementShow)},
			{
				Name: "set", Usage: "let certain workers hold partitions; those that are new catch up first", ArgsUsage: "PARTITIONS", Action: r.with(r.placementSet),
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "replicas", Usage: "`IDS` of workers, such as 1,2", Required: true},
					&cli.StringFlag{Name: "freeze", Usage: "have it changed by operators only from now on; `REASON` is what others are shown"},
					jsonFlag(),
				},
			},
			{Name: "freeze", Usage: "have partitions moved by operators only", ArgsUsage: "PARTITIONS", Flags: []cli.Flag{reasonFlag(), jsonFlag()}, Action: r.with(r.placementFreeze)},
			{Name: "unfreeze", Usage: "have partitions moved automatically again", ArgsUsage: "PARTITIONS", Flags: []cli.Flag{jsonFlag()}, Action: r.with(r.placementUnfreeze)},
		},
	}
}

// leadershipSteering are the commands of leadership that outlast the moment.
func (r *runner) leadershipSteering() []*cli.Command {
	return []*cli.Command{
		{
			Name: "pin", Usage: "let a worker lead partitions whenever it can", ArgsUsage: "PARTITIONS", Action: r.with(r.leadershipPin),
			Flags: []cli.Flag{&cli.StringFlag{Name: "node", Usage: "`ID` of a worker that holds them", Required: true}, jsonFlag()},
		},
		{Name: "unpin", Usage: "let any worker lead partitions", ArgsUsage: "PARTITIONS", Flags: []cli.Flag{jsonFlag()}, Action: r.with(r.leadershipUnpin)},
		{Name: "freeze", Usage: "let nobody else begin to lead partitions, not even after a death", ArgsUsage: "PARTITIONS", Flags: []cli.Flag{reasonFlag(), jsonFlag()}, Action: r.with(r.leadershipFreeze)},
		{Name: "unfreeze", Usage: "let others lead partitions again", ArgsUsage: "PARTITIONS", Flags: []cli.Flag{jsonFlag()}, Action: r.with(r.leadershipUnfreeze)},
	}
}

// frozenText is how a freeze is shown; nil: there is none.
func frozenText(why *string) any {
	if why == nil {
		return nil
	}
	return "FROZEN: " + *why
}

func directiveOf(v *clusterv1.OverviewResponse, p uint32) *storedv1.Directive {
	if int(p) < len(v.Directives) {
		return v.Directives[p]
	}
	return &storedv1.Directive{} // of a daemon that knows none
}

func (r *runner) placementShow(c *cli.Context) error {
	v, err := r.overview(c)
	if err != nil {
		return err
	}
	ids, err := some(c, "<PARTITION>", len(v.Epochs))
	if err != nil {
		return err
	}
	l := &listing{header: []string{"PARTITION", "CURRENT", "NEXT", "AUTOMATIC PLACEMENT"}}
	for _, p := range ids {
		e := v.Epochs[p]
		var next any
		if len(e.Next) > 0 {
			next = plains(e.Next)
		}
		automatic := frozenText(directiveOf(v, p).PlacementFrozen)
		if automatic == nil {
			automatic = "ENABLED"
		}
		l.add(p, plains(e.Replicas), next, automatic)
	}
	return r.show("", l)
}

func (r *runner) placementSet(c *cli.Context) error {
	replicas, err := parseIDs("'--replicas'", c.StringSlice("replicas"))
	if err != nil {
		return err
	}
	req := &clusterv1.PlacePartitionRequest{Replicas: replicas}
	if c.IsSet("freeze") {
		req.Freeze = proto.String(c.String("freeze"))
	}
	return r.place(c, req, func(p uint32, a *clusterv1.PlacePartitionResponse) {
		current, next := plains(a.Epoch.GetReplicas()), plains(a.Epoch.GetNext())
		object := map[string]any{"partition": p, "current": current, "next": next}
		if len(next) > 0 {
			r.changed(object, "Partition %d moves from %s to %s", p, cellText(current), cellText(next))
			return
		}
		r.changed(object, "Partition %d is held by %s", p, cellText(current))
	})
}

func (r *runner) placementFreeze(c *cli.Context) error {
	req := &clusterv1.PlacePartitionRequest{Freeze: proto.String(c.String("reason"))}
	return r.place(c, req, func(p uint32, _ *clusterv1.PlacePartitionResponse) {
		r.result(p, "is moved by operators only")
	})
}

func (r *runner) placementUnfreeze(c *cli.Context) error {
	return r.place(c, &clusterv1.PlacePartitionRequest{Unfreeze: true}, func(p uint32, _ *clusterv1.PlacePartitionResponse) {
		r.result(p, "is moved automatically")
	})
}

func (r *runner) place(c *cli.Context, req *clusterv1.PlacePartitionRequest, done func(uint32, *clusterv1.PlacePartitionResponse)) error {
	return r.eachPartition(c, func(p uint32) error {
		var a *clusterv1.PlacePartitionResponse
		req.Partition = p
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
			a, err = o.PlacePartition(ctx, req)
			return err
		})
		if err == nil {
			done(p, a)
		}
		return err
	})
}

func (r *runner) leadershipPin(c *cli.Context) error {
	node, err := parseID(c.String("node"))
	if err != nil || node == 0 {
		return argv.Usagef("invalid value '%s' for '--node': the id of a node, such as 1", c.String("node"))
	}
	return r.steer(c, &clusterv1.SteerLeaderRequest{Pin: &node}, fmt.Sprintf("is led by %s whenever it can", plain(node)))
}

func (r *runner) leadershipUnpin(c *cli.Context) error {
	return r.steer(c, &clusterv1.SteerLeaderRequest{Pin: proto.Uint32(0)}, "may be led by any worker that holds it")
}

func (r *runner) leadershipFreeze(c *cli.Context) error {
	return r.steer(c, &clusterv1.SteerLeaderRequest{Freeze: proto.String(c.String("reason"))}, "is led by nobody else")
}

func (r *runner) leadershipUnfreeze(c *cli.Context) error {
	return r.steer(c, &clusterv1.SteerLeaderRequest{Unfreeze: true}, "may be led by others again")
}

func (r *runner) steer(c *cli.Context, req *clusterv1.SteerLeaderRequest, now string) error {
	return r.eachPartition(c, func(p uint32) error {
		req.Partition = p
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) error {
			_, err := o.SteerLeader(ctx, req)
			return err
		})
		if err == nil {
			r.result(p, now)
		}
		return err
	})
}

// result says what holds for a partition now.
func (r *runner) result(p uint32, now string) {
	r.changed(map[string]any{"partition": p, "result": now}, "Partition %d %s", p, now)
}

// eachPartition changes the partitions that the user names, one after the other; one that can not be changed does not keep
// the others from it.
func (r *runner) eachPartition(c *cli.Context, do func(p uint32) error) error {
	if !c.Args().Present() {
		return argv.Usagef("the following required arguments were not provided: <PARTITIONS>")
	}
	partitions, err := parseIDs("<PARTITIONS>", c.Args().Slice())
	if err != nil {
		return err
	}
	var failed []error
	for _, p := range partitions {
		if err := do(p); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

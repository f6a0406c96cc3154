package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
)

func (r *runner) snapshots() *cli.Command {
	return &cli.Command{
		Name: "snapshots", Aliases: []string{"snapshot", "snap"}, Usage: "have partitions copied into the object store",
		Subcommands: []*cli.Command{{
			Name: "create", Aliases: []string{"create-snapshot"}, Usage: "make snapshots of partitions now", ArgsUsage: "[PARTITIONS]", Action: r.with(r.snapshotsCreate),
			Flags: []cli.Flag{
				&cli.Uint64Flag{Name: "min-lsn", Aliases: []string{"m"}, Usage: "the newest will do if it holds this `LSN`; one that does not is not made"},
				&cli.BoolFlag{Name: "trim-log", Aliases: []string{"t"}, Usage: "trim the logs behind the oldest snapshots that are kept"},
				jsonFlag(),
			},
		}},
	}
}

func (r *runner) snapshotsCreate(c *cli.Context) error {
	v, err := r.overview(c)
	if err != nil {
		return err
	}
	ids, err := some(c, "<PARTITION>", len(v.Epochs))
	if err != nil {
		return err
	}
	var all []map[string]any
	var failed []error
	for _, p := range ids {
		req := &clusterv1.CreateSnapshotRequest{Partition: p, MinLsn: c.Uint64("min-lsn"), Trim: c.Bool("trim-log")}
		var a *clusterv1.CreateSnapshotResponse
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
			a, err = o.CreateSnapshot(ctx, req)
			return err
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("partition %d: %w", p, err))
			continue
		}
		if r.json {
			all = append(all, map[string]any{"partition": p, "snapshot_id": a.SnapshotId, "lsn": a.Lsn, "archived": a.Archived, "trimmed": a.Trimmed})
			continue
		}
		r.printf("Snapshot created for partition %d: %s (log %d @ LSN >= %d)\n", p, a.SnapshotId, p, a.Archived)
		if a.Trimmed > 0 {
			r.printf(" └ Log %d is trimmed up to LSN %d\n", p, a.Trimmed)
		}
	}
	if r.json {
		failed = append(failed, r.printJSON(all))
	}
	return errors.Join(failed...)
}

func (r *runner) logsTrimCommand() *cli.Command {
	return &cli.Command{
		Name: "trim", Usage: "take records off logs that nobody needs", ArgsUsage: "LOGS", Action: r.with(r.logsTrim),
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "trim-point", Aliases: []string{"t"}, Usage: "the last `LSN` to go; without it all go that nobody needs"},
			&cli.BoolFlag{Name: "force", Usage: "also those that others need who hold the partitions, or will: they have to be restored from a snapshot that has them"},
			jsonFlag(),
		},
	}
}

func (r *runner) logsTrim(c *cli.Context) error {
	ids, err := logIDs(c)
	if err != nil {
		return err
	}
	if err := r.confirm(fmt.Sprintf("Records of logs %v will be deleted for ever. Go on?", ids)); err != nil {
		return err
	}
	l := &listing{header: []string{"LOG-ID", "TRIM-POINT"}}
	var failed []error
	for _, n := range ids {
		req := &clusterv1.TrimLogRequest{Log: n, Through: c.Uint64("trim-point"), Force: c.Bool("force")}
		var a *clusterv1.TrimLogResponse
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
			a, err = o.TrimLog(ctx, req)
			return err
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("log %d: %w", n, err))
			continue
		}
		l.add(n, a.Through)
	}
	if err := r.show("", l); err != nil {
		return err
	}
	return errors.Join(failed...)
}

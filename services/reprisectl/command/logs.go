package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
	"reprise/services/internal/argv"
)

// provider is the only kind of log.
const provider = "replicated"

func (r *runner) logs() *cli.Command {
	return &cli.Command{
		Name: "logs", Aliases: []string{"log"}, Usage: "look at the logs of partitions, trim and seal them",
		Subcommands: []*cli.Command{
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the logs with their last segments", Flags: []cli.Flag{jsonFlag()}, Action: r.bare(r.logsList)},
			{
				Name: "describe", Usage: "show the chains of logs", ArgsUsage: "[LOGS]", Action: r.with(r.logsDescribe),
				Flags: []cli.Flag{
					&cli.Uint64Flag{Name: "from-segment-id", Usage: "begin with the segment of this `INDEX`"},
					&cli.IntFlag{Name: "skip", Usage: "leave out the first `N` segments"},
					&cli.IntFlag{Name: "head", Usage: "show the first `N` segments"},
					&cli.IntFlag{Name: "tail", Value: 25, Usage: "show the last `N` segments"},
					&cli.BoolFlag{Name: "all", Usage: "show all segments"},
					extraFlag(), jsonFlag(),
				},
			},
			r.logsReconfigure(),
			{Name: "find-tail", Usage: "ask the log-servers where logs end", ArgsUsage: "LOGS", Flags: []cli.Flag{jsonFlag()}, Action: r.with(r.findTail)},
			r.logsTrimCommand(),
			{
				Name: "seal", Usage: "end the last segments of logs: whoever writes next begins new ones", ArgsUsage: "LOGS", Action: r.with(r.seal),
				Flags: []cli.Flag{
					&cli.Uint64Flag{Name: "segment-index", Aliases: []string{"i"}, Usage: "only if this is the `INDEX` of the last segment"},
					&cli.StringFlag{Name: "reason", Usage: "`TEXT` that the metadata daemon logs"}, jsonFlag(),
				},
			},
		},
	}
}

func (r *runner) logsList(c *cli.Context) error {
	a, err := r.chains(c)
	if err != nil {
		return err
	}
	newest := int64(0)
	for _, l := range a.Logs {
		newest = max(newest, l.Version)
	}
	title := fmt.Sprintf("Logs v%d\n└ Logs Provider: %s\n ├ Log replication: %s\n └ Nodeset size: %d\n", newest, provider, a.Cluster.GetReplication(), a.Cluster.GetNodesetSize())
	return r.show(title, logsTable(a.Logs))
}

// logsTable has a line for each log with its last segment.
func logsTable(logs []*clusterv1.LogChain) *listing {
	l := &listing{header: []string{"L-ID", "SEGMENTS", "FROM", "KIND", "LOGLET-ID", "REPLICATION", "SEQUENCER", "NODESET"}}
	for i, log := range logs {
		t := tailOf(log)
		if t == nil {
			l.add(i, 0, nil, nil, nil, nil, nil, nil)
			continue
		}
		l.add(i, len(log.Chain.Segments), t.Base, provider, logletName(t.Loglet.Id), t.Loglet.Replication,
			generational(t.Loglet.SequencerNode, t.Loglet.SequencerGeneration), plains(t.Loglet.Nodeset))
	}
	return l
}

func logletName(n uint64) string { return id.Loglet(n).String() }

func (r *runner) logsDescribe(c *cli.Context) error {
	var a *clusterv1.LogsResponse
	var v *clusterv1.OverviewResponse
	err := r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		if a, err = o.Logs(ctx, &clusterv1.LogsRequest{}); err == nil {
			v, err = o.Overview(ctx, &clusterv1.OverviewRequest{})
		}
		return err
	})
	if err != nil {
		return err
	}
	ids, err := some(c, "<LOG>", len(a.Logs))
	if err != nil {
		return err
	}
	var all []map[string]any
	for i, n := range ids {
		log := a.Logs[n]
		segments := log.Chain.GetSegments()
		shown, err := chosen(c, segments)
		if err != nil {
			return err
		}
		l := r.segmentsTable(v, segments, shown, c.Bool("extra"))
		if r.json {
			all = append(all, map[string]any{"log_id": n, "version": log.Version, "segments": l.objects()})
			continue
		}
		if i > 0 {
			r.printf("\n")
		}
		r.printf("Log Id: %d (v%d)\n%s---\n%d/%d segments shown.\n", n, log.Version, l.table(r.style), len(shown), len(segments))
	}
	if r.json {
		return r.printJSON(all)
	}
	return nil
}

// chosen are the segments that the flags ask for.
func chosen(c *cli.Context, segments []*storedv1.Segment) ([]*storedv1.Segment, error) {
	skip, head, tail := c.Int("skip"), c.Int("head"), c.Int("tail")
	if skip < 0 || head < 0 || tail < 0 {
		return nil, argv.Usagef("--skip, --head and --tail count segments: they are not negative")
	}
	from := uint32(c.Uint64("from-segment-id"))
	out := segments
	if i := slices.IndexFunc(out, func(s *storedv1.Segment) bool { return s.Index >= from }); i >= 0 {
		out = out[i:]
	} else {
		out = nil
	}
	out = out[min(skip, len(out)):]
	switch {
	case c.Bool("all"):
	case c.IsSet("head"):
		out = out[:min(head, len(out))]
	default:
		out = out[max(0, len(out)-tail):]
	}
	return out, nil
}

// segmentsTable has a line for each segment; the last one of the log is marked.
func (r *runner) segmentsTable(v *clusterv1.OverviewResponse, all, shown []*storedv1.Segment, extra bool) *listing {
	l := &listing{header: []string{"", "IDX", "FROM-LSN", "KIND", "LOGLET-ID", "REPLICATION", "SEQUENCER", "EFF-NODESET", "CREATED-AT"}}
	if extra {
		l.header = append(l.header, "NODESET")
	}
	for _, s := range shown {
		mark := ""
		if s == all[len(all)-1] {
			mark = "▶︎"
		}
		var created any
		if s.CreatedAtMs > 0 {
			created = r.time.Show(time.UnixMilli(s.CreatedAtMs).UTC().Format(time.RFC3339Nano))
		}
		row := []any{
			mark, s.Index, s.Base, provider, logletName(s.Loglet.Id), s.Loglet.Replication,
			generational(s.Loglet.SequencerNode, s.Loglet.SequencerGeneration), plains(effective(v, s.Loglet.Nodeset)), created,
		}
		if extra {
			row = append(row, plains(s.Loglet.Nodeset))
		}
		l.add(row...)
	}
	return l
}

// effective are the members of a nodeset that count: they are in the cluster, and not disabled.
func effective(v *clusterv1.OverviewResponse, nodeset []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(nodeset), func(n uint32) bool {
		i := slices.IndexFunc(v.Nodes, func(node *storedv1.Node) bool { return node.Id == n })
		return i < 0 || v.Nodes[i].StorageState == storedv1.StorageState_STORAGE_STATE_DISABLED
	})
}

// logIDs are the logs that a command must name.
func logIDs(c *cli.Context) ([]uint32, error) {
	if !c.Args().Present() {
		return nil, argv.Usagef("the following required arguments were not provided: <LOGS>")
	}
	return parseIDs("<LOGS>", c.Args().Slice())
}

func (r *runner) findTail(c *cli.Context) error {
	ids, err := logIDs(c)
	if err != nil {
		return err
	}
	l := &listing{header: []string{"LOG-ID", "SEGMENT", "STATE", "TAIL-LSN"}}
	var failed []error
	for _, n := range ids {
		var a *clusterv1.FindTailResponse
		err := r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
			a, err = o.FindTail(ctx, &clusterv1.FindTailRequest{Log: n})
			return err
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("log %d: %w", n, err))
			continue
		}
		state := "OPEN"
		if a.Sealed {
			state = "SEALED"
		}
		l.add(n, a.Segment, state, a.Tail)
	}
	if err := r.show("", l); err != nil {
		return err
	}
	return errors.Join(failed...)
}

func (r *runner) seal(c *cli.Context) error {
	ids, err := logIDs(c)
	if err != nil {
		return err
	}
	if err := r.confirm(fmt.Sprintf("The last segments of logs %v will be sealed: appends wait until new ones have begun. Go on?", ids)); err != nil {
		return err
	}
	l := &listing{header: []string{"LOG-ID", "SEGMENT", "STATE", "TAIL-LSN"}}
	var failed []error
	for _, n := range ids {
		req := &clusterv1.SealLogRequest{Log: n, Reason: c.String("reason")}
		if c.IsSet("segment-index") {
			index := uint32(c.Uint64("segment-index"))
			req.Segment = &index
		}
		var a *clusterv1.SealLogResponse
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
			a, err = o.SealLog(ctx, req)
			return err
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("log %d: %w", n, err))
			continue
		}
		l.add(n, a.Segment, "SEALED", a.Tail)
	}
	if err := r.show("", l); err != nil {
		return err
	}
	return errors.Join(failed...)
}

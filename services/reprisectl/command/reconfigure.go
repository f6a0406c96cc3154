package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/services/internal/argv"
)

func (r *runner) logsReconfigure() *cli.Command {
	return &cli.Command{
		Name: "reconfigure", Usage: "end the last segments of logs and begin the next ones on log-servers that are chosen anew", Action: r.bare(r.reconfigure),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "log-id", Aliases: []string{"l"}, Usage: "`IDS` of logs, such as 0 or 1-4", Required: true},
			&cli.StringFlag{Name: "provider", Aliases: []string{"p"}, Value: provider, Usage: "`KIND` of the next segment: " + provider + " is the only one"},
			&cli.Uint64Flag{Name: "segment-index", Aliases: []string{"i"}, Usage: "only if this is the `INDEX` of the last segment"},
			&cli.Int64Flag{Name: "min-version", Aliases: []string{"m"}, Usage: "only if the chain has at least this `VERSION`"},
			&cli.StringFlag{Name: "sequencer", Usage: "`ID` of the worker that leads from then on; default: who leads now"},
			&cli.StringFlag{Name: "replication", Usage: "not for one log: see 'config set --log-replication'"},
			&cli.StringFlag{Name: "nodeset", Usage: "not for one log: leaders choose, see 'nodes set-storage-state'"},
			jsonFlag(),
		},
	}
}

func (r *runner) reconfigure(c *cli.Context) error {
	switch {
	case c.String("provider") != provider:
		return argv.Usagef("invalid value '%s' for '--provider': %s is the only kind of log", c.String("provider"), provider)
	case c.IsSet("replication"):
		return argv.Usagef("--replication is that of all logs: use 'reprisectl config set --log-replication %s', and their leaders follow", c.String("replication"))
	case c.IsSet("nodeset"):
		return argv.Usagef("--nodeset is chosen by the leader, among log-servers that are read-write and live: take others out with 'reprisectl nodes set-storage-state --nodes ID --storage-state read-only'")
	}
	ids, err := parseIDs("'--log-id'", c.StringSlice("log-id"))
	if err != nil {
		return err
	}
	req := &clusterv1.ReconfigureLogRequest{MinVersion: c.Int64("min-version")}
	if c.IsSet("segment-index") {
		index := uint32(c.Uint64("segment-index"))
		req.Segment = &index
	}
	if c.IsSet("sequencer") {
		if req.Sequencer, err = parseID(c.String("sequencer")); err != nil || req.Sequencer == 0 {
			return argv.Usagef("invalid value '%s' for '--sequencer': an id such as 1", c.String("sequencer"))
		}
	}
	if err := r.confirm(fmt.Sprintf("Logs %v will be reconfigured: appends wait until new segments have begun. Go on?", ids)); err != nil {
		return err
	}
	var failed []error
	for _, n := range ids {
		req.Log = n
		var a *clusterv1.ReconfigureLogResponse
		err := r.ask(c, true, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
			a, err = o.ReconfigureLog(ctx, req)
			return err
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("log %d: %w", n, err))
			continue
		}
		r.reconfigured(n, a)
	}
	return errors.Join(failed...)
}

func (r *runner) reconfigured(n uint32, a *clusterv1.ReconfigureLogResponse) {
	was, now := a.Was.GetLoglet(), a.Now.GetLoglet()
	wasSequencer, nowSequencer := generational(was.GetSequencerNode(), was.GetSequencerGeneration()), generational(now.GetSequencerNode(), now.GetSequencerGeneration())
	r.changed(map[string]any{
		"log_id": n, "segment_index": a.Now.Index, "loglet_id": logletName(now.GetId()), "sequencer": nowSequencer,
		"replication": now.GetReplication(), "nodeset": plains(now.GetNodeset()), "sealed_segment": a.Was.Index, "tail_lsn": a.Now.Base,
	}, "✅ Log reconfiguration (%d)\n └ Segment Index: %d\nSealed segment\n ├ Index: %d\n ├ Tail LSN: %d\n ├ Provider: %s\n ├ Loglet ID: %s\n ├ Sequencer: %s\n ├ Replication: %s\n └ Nodeset: %s\n"+
		"New segment\n ├ Index: %d\n ├ From LSN: %d\n ├ Loglet ID: %s\n ├ Sequencer: %s\n ├ Replication: %s\n └ Nodeset: %s",
		n, a.Now.Index, a.Was.Index, a.Now.Base, provider, logletName(was.GetId()), wasSequencer, was.GetReplication(), cellText(plains(was.GetNodeset())),
		a.Now.Index, a.Now.Base, logletName(now.GetId()), nowSequencer, now.GetReplication(), cellText(plains(now.GetNodeset())))
}

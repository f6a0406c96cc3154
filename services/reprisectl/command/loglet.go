package command

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	clusterv1 "reprise/api/cluster/v1"
	"reprise/services/internal/argv"
)

func (r *runner) loglet() *cli.Command {
	return &cli.Command{
		Name: "replicated-loglet", Aliases: []string{"loglet"}, Usage: "look at loglets and log-servers",
		Subcommands: []*cli.Command{
			{Name: "info", Usage: "show a loglet and what its log-servers know of it", ArgsUsage: "LOGLET", Flags: []cli.Flag{jsonFlag()}, Action: r.with(r.logletInfo)},
			{
				Name: "digest", Usage: "show which log-server has which records of a loglet", ArgsUsage: "LOGLET", Action: r.with(r.logletDigest),
				Flags: []cli.Flag{
					&cli.Uint64Flag{Name: "from", Value: 1, Usage: "first `OFFSET`"},
					&cli.Uint64Flag{Name: "to", Usage: "last `OFFSET`; without it, all that a log-server has"},
					&cli.BoolFlag{Name: "under-replicated-only", Aliases: []string{"u"}, Usage: "show only what has too few copies"},
					jsonFlag(),
				},
			},
			{Name: "list-servers", Usage: "list the log-servers with the loglets that they have", Flags: []cli.Flag{jsonFlag()}, Action: r.bare(r.listServers)},
		},
	}
}

// logletID reads 1_37, or the number of it.
func logletID(c *cli.Context) (uint64, error) {
	if c.NArg() != 1 {
		return 0, argv.Usagef("the following required arguments were not provided: <LOGLET>")
	}
	text := c.Args().First()
	log, segment, pair := strings.Cut(text, "_")
	if !pair {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, nil
		}
	}
	l, err1 := strconv.ParseUint(log, 10, 16)
	s, err2 := strconv.ParseUint(segment, 10, 32)
	if err1 != nil || err2 != nil {
		return 0, argv.Usagef("invalid value '%s' for <LOGLET>: log and segment, such as 1_37", text)
	}
	return l<<32 | s, nil
}

func (r *runner) describeLoglet(c *cli.Context) (a *clusterv1.DescribeLogletResponse, v *clusterv1.OverviewResponse, err error) {
	n, err := logletID(c)
	if err != nil {
		return nil, nil, err
	}
	err = r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		if a, err = o.DescribeLoglet(ctx, &clusterv1.DescribeLogletRequest{Loglet: n}); err == nil {
			v, err = o.Overview(ctx, &clusterv1.OverviewRequest{})
		}
		return err
	})
	return a, v, err
}

func (r *runner) logletInfo(c *cli.Context) error {
	a, v, err := r.describeLoglet(c)
	if err != nil {
		return err
	}
	l := &listing{header: []string{"", "LOCAL-TAIL", "GLOBAL-TAIL", "TRIM-POINT", "SEALED"}}
	if r.json {
		l.header[0] = "NODE"
	}
	for _, m := range a.Members {
		if m.Error != "" {
			r.warn("%s does not answer: %s", plain(m.Node), m.Error)
			l.add(plain(m.Node), nil, nil, nil, nil)
			continue
		}
		l.add(plain(m.Node), m.LocalTail, m.KnownTail, m.Trimmed, m.Sealed)
	}
	loglet := a.Segment.Loglet
	if r.json {
		return r.printJSON(map[string]any{
			"loglet_id": logletName(loglet.Id), "log_id": a.Log, "segment": a.Segment.Index, "base": a.Segment.Base, "end": a.End,
			"sequencer": generational(loglet.SequencerNode, loglet.SequencerGeneration), "replication": loglet.Replication,
			"nodeset": plains(loglet.Nodeset), "servers": l.objects(),
		})
	}
	place := fmt.Sprintf("LogId=%d at Segment=%d", a.Log, a.Segment.Index)
	if a.End != 0 {
		place += " (SEGMENT IS SEALED)"
	}
	r.printf(" Loglet Id:    %s (raw=%d)\n Used in:      %s\n Sequencer:    %s\n Replication:  %s\n Nodeset:      %s\n%s", logletName(loglet.Id), loglet.Id,
		place, generational(loglet.SequencerNode, loglet.SequencerGeneration)+sequencerNote(v, loglet.SequencerNode, loglet.SequencerGeneration),
		loglet.Replication, cellText(plains(loglet.Nodeset)), l.table(r.style))
	return nil
}

// sequencerNote says what became of a sequencer.
func sequencerNote(v *clusterv1.OverviewResponse, n, generation uint32) string {
	for _, node := range v.Nodes {
		switch {
		case node.Id != n:
		case node.Generation != generation:
			return fmt.Sprintf(" (gone; current generation is %s)", generational(n, node.Generation))
		case !lives(v, n):
			return " (dead)"
		default:
			return ""
		}
	}
	return " (removed)"
}

func (r *runner) logletDigest(c *cli.Context) error {
	a, _, err := r.describeLoglet(c)
	if err != nil {
		return err
	}
	end := c.Uint64("to") + 1
	if end == 1 {
		for _, m := range a.Members {
			end = max(end, m.LocalTail)
		}
	}
	var d *clusterv1.DigestLogletResponse
	err = r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		d, err = o.DigestLoglet(ctx, &clusterv1.DigestLogletRequest{Loglet: a.Segment.Loglet.Id, From: c.Uint64("from"), To: max(end, c.Uint64("from"))})
		return err
	})
	if err != nil {
		return err
	}
	copies, err := copiesOf(a.Segment.Loglet.Replication)
	if err != nil {
		return err
	}
	return r.show("", digestTable(d.Members, c.Uint64("from"), end, copies, c.Bool("under-replicated-only")))
}

// copiesOf reads the copies of a replication property, such as {node: 2}.
func copiesOf(property string) (uint64, error) {
	_, rest, ok := strings.Cut(property, "node:")
	text := strings.Trim(strings.TrimSpace(rest), "}")
	if !ok {
		text = property
	}
	text, _, _ = strings.Cut(text, ",")
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 8)
	if err != nil {
		return 0, fmt.Errorf("the loglet has an unknown replication %q", property)
	}
	return n, nil
}

// digestTable has a line for each run of offsets that the same log-servers have.
func digestTable(members []*clusterv1.LogletMember, from, end, copies uint64, only bool) *listing {
	l := &listing{header: []string{"OFFSET"}}
	cuts := []uint64{from, end}
	known := uint64(0)
	for _, m := range members {
		name := plain(m.Node)
		if m.Sealed {
			name += "(S)"
		}
		l.header = append(l.header, name)
		known = max(known, m.KnownTail)
		cuts = append(cuts, m.Trimmed+1, m.KnownTail)
		for _, e := range m.Exists {
			cuts = append(cuts, e.From, e.To)
		}
	}
	l.header = append(l.header, "ISSUES")
	slices.Sort(cuts)
	cuts = slices.Compact(slices.DeleteFunc(cuts, func(o uint64) bool { return o < from || o > end }))
	for i := 0; i+1 < len(cuts); i++ {
		row, has, trimmed := digestRow(members, cuts[i])
		issue := ""
		switch {
		case trimmed:
		case has == 0 && cuts[i] < known:
			issue = "no copy answers"
		case has < copies && cuts[i] < known:
			issue = fmt.Sprintf("%d of %d copies answer", has, copies)
		case cuts[i] >= known:
			issue = "not known to be committed"
		}
		if only && (issue == "" || cuts[i] >= known) {
			continue
		}
		offsets := strconv.FormatUint(cuts[i], 10)
		if last := cuts[i+1] - 1; last != cuts[i] {
			offsets += "-" + strconv.FormatUint(last, 10)
		}
		l.add(append(append([]any{offsets}, row...), issue)...)
	}
	return l
}

// digestRow tells who has an offset: X has it, - has not, T trimmed it, ? does not answer.
func digestRow(members []*clusterv1.LogletMember, offset uint64) (row []any, has uint64, trimmed bool) {
	for _, m := range members {
		switch {
		case m.Error != "":
			row = append(row, "?")
		case offset <= m.Trimmed:
			row, trimmed = append(row, "T"), true
		case slices.ContainsFunc(m.Exists, func(e *clusterv1.OffsetRange) bool { return e.From <= offset && offset < e.To }):
			row = append(row, "X")
			has++
		default:
			row = append(row, "-")
		}
	}
	return row, has, trimmed
}

func (r *runner) listServers(c *cli.Context) error {
	var logs *clusterv1.LogsResponse
	var v *clusterv1.OverviewResponse
	err := r.ask(c, false, func(ctx context.Context, o clusterv1.OperatorServiceClient) (err error) {
		if logs, err = o.Logs(ctx, &clusterv1.LogsRequest{}); err == nil {
			v, err = o.Overview(ctx, &clusterv1.OverviewRequest{})
		}
		return err
	})
	if err != nil {
		return err
	}
	l := &listing{header: []string{"NODE", "GEN", "STORAGE-STATE", "HISTORICAL-LOGLETS", "ACTIVE-LOGLETS"}}
	for _, n := range v.Nodes {
		if !slices.Contains(n.Roles, "log-server") {
			continue
		}
		historical, active := 0, 0
		for _, log := range logs.Logs {
			for _, s := range log.Chain.GetSegments() {
				if slices.Contains(s.Loglet.Nodeset, n.Id) {
					if s == tailOf(log) {
						active++
					} else {
						historical++
					}
				}
			}
		}
		l.add(plain(n.Id), generational(n.Id, n.Generation), storageState(n.StorageState), historical, active)
	}
	return r.show(fmt.Sprintf("Node Configuration (v%d)\n", v.NodesVersion), l)
}

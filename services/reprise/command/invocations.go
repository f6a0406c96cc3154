package command

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

func (r *runner) invocationCommands() *cli.Command {
	return &cli.Command{
		Name: "invocations", Usage: "see and steer invocations",
		Subcommands: append([]*cli.Command{
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list invocations, of those that are not completed if no flag says more",
				Flags: slices.Concat(selectFlags(true), []cli.Flag{
					&cli.BoolFlag{Name: "virtual-objects-only", Usage: "only of virtual objects"},
					&cli.BoolFlag{Name: "zombie", Usage: "only of those that are pinned to a deployment that was removed"},
					&cli.BoolFlag{Name: "all", Usage: "completed ones, too"},
					&cli.BoolFlag{Name: "oldest-first", Usage: "begin with the oldest"},
					&cli.IntFlag{Name: "limit", Value: 100, Usage: "at most `N`"},
					jsonFlag(),
				}, watchFlags()),
				Action: r.invocationsList,
			},
			{
				Name: "describe", Aliases: []string{"get"}, Usage: "show an invocation, how far it is, and what it waits for", ArgsUsage: "<ID>",
				Flags: append([]cli.Flag{
					&cli.BoolFlag{Name: "extra", Usage: "show stack traces, too"},
					&cli.IntFlag{Name: "entries", Value: 100, Usage: "at most the last `N` entries of the journal"},
					jsonFlag(),
				}, watchFlags()...),
				Action: r.invocationsDescribe,
			},
		}, r.steering()...),
	}
}

// countMax is how many rows a list counts: a million would take longer than the list.
const countMax = 50_000

func (r *runner) invocationsList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	where, err := listed(c)
	if err != nil {
		return err
	}
	if c.Int("limit") < 1 {
		return argv.Usagef("invalid value '%d' for '--limit': 1 or more", c.Int("limit"))
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error { return r.showList(c, strings.Join(where, " AND ")) })
}

// listed are the conditions of a list.
func listed(c *cli.Context) ([]string, error) {
	where, err := selected(c, true)
	if err != nil {
		return nil, err
	}
	narrow := c.IsSet("status") || c.IsSet("completion-result")
	switch {
	case narrow && c.Bool("all"):
		return nil, argv.Usagef("the argument '--all' cannot be used with '--status' or '--completion-result'")
	case !narrow && !c.Bool("all"):
		where = append(where, "inv.status != 'completed'")
	}
	if c.Bool("virtual-objects-only") {
		where = append(where, "inv.target_service_ty = 'virtual_object'")
	}
	if c.Bool("zombie") {
		where = append(where, "inv.pinned_deployment_id IS NOT NULL AND inv.pinned_deployment_id NOT IN (SELECT id FROM sys_deployment)")
	}
	if len(where) == 0 {
		where = []string{"TRUE"}
	}
	return where, nil
}

func (r *runner) showList(c *cli.Context, where string) error {
	start := r.env.Clock.Now()
	order := "inv.created_at DESC, inv.id"
	if c.Bool("oldest-first") {
		order = "inv.created_at ASC, inv.id"
	}
	ids, total, err := r.findIDs(c.Context, where, order, c.Int("limit"))
	if err != nil {
		return err
	}
	// Details are read by id, which touches only these.
	rows := []json.RawMessage{}
	if len(ids) > 0 {
		query := fmt.Sprintf("SELECT %s FROM %s WHERE inv.id IN (%s) ORDER BY %s", invocationColumns, invocationSource, quoteAll(ids), order)
		if err := r.client.query(c.Context, query, &rows); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return r.printJSON(rows)
	}
	for _, raw := range rows {
		var i invocationRow
		if err := json.Unmarshal(raw, &i); err != nil {
			return fmt.Errorf("row of an invocation: %w", err)
		}
		r.printf("  ❯ [%s] %s\n%s\n", r.stamp(i.Created), r.paint(bold, i.ID), indent(r.facts(&i).Draw(grid.Compact), "    "))
	}
	r.summary("Showing %d/%s invocations. Query took %s", len(rows), total, r.env.Clock.Now().Sub(start))
	return nil
}

// findIDs finds the ids of at most limit invocations, and how many there are.
func (r *runner) findIDs(ctx context.Context, where, order string, limit int) (ids []string, total string, err error) {
	var rows []invocationRow
	query := fmt.Sprintf("SELECT inv.id FROM sys_invocation inv WHERE %s ORDER BY %s LIMIT %d", where, order, limit)
	if err := r.client.query(ctx, query, &rows); err != nil {
		return nil, "", err
	}
	ids = make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	if len(ids) < limit {
		return ids, fmt.Sprint(len(ids)), nil
	}
	n, err := r.client.count(ctx, fmt.Sprintf("SELECT COUNT(1) FROM (SELECT inv.id FROM sys_invocation inv WHERE %s LIMIT %d) AS found", where, countMax))
	if err != nil {
		return nil, "", fmt.Errorf("counting invocations: %w", err)
	}
	if n >= countMax {
		return ids, fmt.Sprintf("%d+", n), nil
	}
	return ids, fmt.Sprint(max(n, int64(len(ids)))), nil
}

// facts are what a list tells of an invocation.
func (r *runner) facts(i *invocationRow) *grid.Table {
	t := &grid.Table{}
	t.Add("Target:", visible(i.Target))
	t.Add("Status:", r.statusLine(i))
	if i.InvokedByTarget != "" {
		t.Add("Invoked by:", visible(i.caller()))
	}
	if i.IdempotencyKey != "" {
		t.Add("Idempotency key:", visible(i.IdempotencyKey))
	}
	if d := r.runsAt(i); d != "" {
		t.Add("Deployment:", d)
	}
	switch {
	case i.Failure != "":
		t.Add("Error:", message(i.Failure, failureLinesMax))
	case i.LastFailure != "" && i.Status != "completed":
		t.Add("Error:", message(i.LastFailure, failureLinesMax))
	}
	if i.Trace != "" {
		t.Add("Trace:", i.Trace)
	}
	return t
}

package command

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/pkg/id"
	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

// description is all that is told of an invocation.
type description struct {
	invocationRow
	journal []journalEntry // the last ones, oldest first
	events  []journalEvent // oldest first
	callees map[string]invocationRow
	holder  *invocationRow // who has the key that a pending one waits for
	ahead   int64          // how many wait for it longer
}

func (r *runner) invocationsDescribe(c *cli.Context) error {
	which, err := argument(c, "ID")
	if err != nil {
		return err
	}
	if _, err := id.ParseInvocation(which); err != nil {
		return argv.Usagef("'%s' is no id of an invocation: %v", which, err)
	}
	if c.Int("entries") < 1 {
		return argv.Usagef("invalid value '%d' for '--entries': 1 or more", c.Int("entries"))
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.describeJSON(c.Context, which)
		}
		d, err := r.readDescription(c.Context, which)
		if err != nil {
			return err
		}
		r.showDescription(d, c.Bool("extra"), c.Int("entries"))
		return nil
	})
}

// Statements of a description.
const (
	detailsQuery = "SELECT " + invocationColumns + " FROM " + invocationSource + " WHERE inv.id = "
	journalQuery = "SELECT index, entry_type, name, entry_lite_json, invoked_id, invoked_target, appended_at FROM sys_journal WHERE id = %s ORDER BY index DESC LIMIT %d"
	eventsQuery  = "SELECT after_journal_entry_index, appended_at, event_type, event_json FROM sys_journal_events WHERE id = %s ORDER BY appended_at DESC LIMIT %d"
)

const (
	journalMax = 1000 // entries that are looked at for what is open
	eventsMax  = 20
)

// describeJSON prints what the server says, with nothing left out.
func (r *runner) describeJSON(ctx context.Context, which string) error {
	var out struct {
		Invocation json.RawMessage   `json:"invocation"`
		Journal    []json.RawMessage `json:"journal"`
		Events     []json.RawMessage `json:"events"`
	}
	var rows []json.RawMessage
	if err := r.client.query(ctx, detailsQuery+quote(which), &rows); err != nil {
		return err
	}
	if len(rows) == 0 {
		return fmt.Errorf("invocation %s not found", which)
	}
	out.Invocation = rows[0]
	if err := r.client.query(ctx, "SELECT * FROM sys_journal WHERE id = "+quote(which)+" ORDER BY index", &out.Journal); err != nil {
		return err
	}
	if err := r.client.query(ctx, "SELECT * FROM sys_journal_events WHERE id = "+quote(which)+" ORDER BY appended_at", &out.Events); err != nil {
		return err
	}
	return r.printJSON(out)
}

func (r *runner) readDescription(ctx context.Context, which string) (*description, error) {
	var rows []invocationRow
	if err := r.client.query(ctx, detailsQuery+quote(which), &rows); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, hint(fmt.Errorf("invocation %s not found", which), "It never existed, or its retention is over, or it was purged.")
	}
	d := &description{invocationRow: rows[0]}
	var err error
	if d.journal, err = r.readJournal(ctx, which); err != nil {
		return nil, err
	}
	if err := r.client.query(ctx, fmt.Sprintf(eventsQuery, quote(which), eventsMax), &d.events); err != nil {
		return nil, err
	}
	reverse(d.events)
	if d.callees, err = r.readCallees(ctx, d); err != nil {
		return nil, err
	}
	if d.Status == "pending" && d.ServiceType != "service" {
		err = r.readHolder(ctx, d)
	}
	return d, err
}

// readCallees reads how far those are that are called and have not answered.
func (r *runner) readCallees(ctx context.Context, d *description) (map[string]invocationRow, error) {
	var ids []string
	for _, w := range d.waits() {
		if w.entry != nil && w.entry.callee() != "" {
			ids = append(ids, w.entry.callee())
		}
	}
	found := map[string]invocationRow{}
	if len(ids) == 0 {
		return found, nil
	}
	var rows []invocationRow
	err := r.client.query(ctx, "SELECT "+invocationColumns+" FROM "+invocationSource+" WHERE inv.id IN ("+quoteAll(ids)+")", &rows)
	for _, i := range rows {
		found[i.ID] = i
	}
	return found, err
}

// readHolder reads who has the key, and how many wait for it longer.
func (r *runner) readHolder(ctx context.Context, d *description) error {
	key := fmt.Sprintf("service_name = %s AND service_key = %s", quote(d.Service), quote(d.Key))
	var locks []struct {
		Holder string `json:"invocation_id"`
	}
	if err := r.client.query(ctx, "SELECT invocation_id FROM sys_keyed_service_status WHERE "+key, &locks); err != nil {
		return err
	}
	if len(locks) > 0 {
		var rows []invocationRow
		if err := r.client.query(ctx, detailsQuery+quote(locks[0].Holder), &rows); err != nil {
			return err
		}
		if len(rows) > 0 {
			d.holder = &rows[0]
		}
	}
	var err error
	d.ahead, err = r.client.count(ctx, "SELECT COUNT(1) FROM sys_inbox WHERE "+key+
		" AND sequence_number < (SELECT MIN(sequence_number) FROM sys_inbox WHERE "+key+" AND id = "+quote(d.ID)+")")
	return err
}

func (r *runner) showDescription(d *description, extra bool, entries int) {
	stack := failureLinesMax
	if extra {
		stack = stackLinesMax
	}
	t := grid.Table{}
	t.Add("ID:", r.paint(bold, d.ID))
	t.Add("Target:", visible(d.Target))
	t.Add("Status:", r.statusLine(&d.invocationRow))
	t.Add("Created at:", fmt.Sprintf("%s (%s ago)", r.stamp(d.Created), r.since(d.Created.Time)))
	t.Add("Modified at:", fmt.Sprintf("%s (%s ago)", r.stamp(d.Modified), r.since(d.Modified.Time)))
	if !d.Completed.IsZero() {
		t.Add("Completed at:", fmt.Sprintf("%s (%s ago)", r.stamp(d.Completed), r.since(d.Completed.Time)))
	}
	if by := d.caller(); by != "" {
		t.Add("Invoked by:", visible(by))
	}
	if d.IdempotencyKey != "" {
		t.Add("Idempotency key:", visible(d.IdempotencyKey))
	}
	if at := r.runsAt(&d.invocationRow); at != "" {
		t.Add("Deployment:", at)
		if d.DeploymentAddress != "" {
			t.Add("Endpoint:", d.DeploymentAddress)
		}
	}
	if d.Trace != "" {
		t.Add("Trace:", d.Trace)
	}
	r.section("Invocation Information")
	r.printf("%s", t.Draw(grid.Compact))
	r.section(map[bool]string{true: "Outcome", false: "Why it is not done"}[d.Status == "completed"])
	for _, line := range r.explain(d, stack) {
		r.printf("%s\n", indent(strings.TrimSuffix(line, "\n"), " "))
	}
	r.section("Invocation Progress")
	r.showJournal(d, entries)
}

package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

// operation is a change of invocations, one at a time or many.
type operation struct {
	name, usage string
	aliases     []string
	path        string // of the server's batch, and of the change of one
	where       string // which can be changed
	only        string // the same in words
	verb, done  string // to pause these, paused these
	moves       bool   // it can change the deployment
	flags       []cli.Flag
}

// Conditions for what an operation can change.
const (
	unfinished = "inv.status != 'completed'"
	finished   = "inv.status = 'completed'"
)

func operations() []operation {
	deployment := func(usage string) cli.Flag {
		return &cli.StringFlag{Name: "deployment", Usage: usage + ": keep, latest or an `ID`"}
	}
	return []operation{
		{
			name: "cancel", usage: "cancel invocations and those that they called", path: "cancel", where: unfinished,
			only: "invocations that are not completed", verb: "cancel", done: "Cancelled",
			flags: []cli.Flag{&cli.BoolFlag{Name: "kill", Usage: "do not wait for handlers to agree"}},
		},
		{
			name: "kill", usage: "end invocations and those that they called at once, without asking handlers", path: "kill", where: unfinished,
			only: "invocations that are not completed", verb: "kill", done: "Killed",
		},
		{
			name: "pause", usage: "start no new attempt of invocations until they are resumed", path: "pause",
			where: "inv.status IN ('running', 'backing-off', 'ready', 'suspended')",
			only:  "invocations that are running, backing-off, ready or suspended", verb: "pause", done: "Paused",
		},
		{
			name: "resume", usage: "go on with paused invocations, and try failed ones again now", path: "resume",
			where: "inv.status IN ('paused', 'running', 'backing-off', 'ready', 'suspended')",
			only:  "invocations that are paused, running, backing-off, ready or suspended", verb: "resume", done: "Resumed",
			moves: true, flags: []cli.Flag{deployment("go on with another deployment")},
		},
		{
			name: "purge", aliases: []string{"rm"}, usage: "forget completed invocations, their results and journals", path: "purge", where: finished,
			only: "completed invocations", verb: "purge", done: "Purged",
		},
		{
			name: "purge-journal", usage: "forget the journals of completed invocations, but not their results", path: "purge-journal", where: finished,
			only: "completed invocations", verb: "purge the journals of", done: "Purged the journals of",
		},
		{
			name: "restart-as-new", aliases: []string{"restart"}, usage: "call again what completed, with the same input", path: "restart-as-new", where: finished,
			only: "completed invocations", verb: "restart", done: "Restarted",
			moves: true, flags: []cli.Flag{
				deployment("on which deployment"),
				&cli.IntFlag{Name: "from", Usage: "keep the journal up to the entry with this `INDEX`; of a single invocation"},
			},
		},
	}
}

// steering are the commands for the operations.
func (r *runner) steering() (commands []*cli.Command) {
	for _, o := range operations() {
		flags := selectFlags(!o.moves)
		commands = append(commands, &cli.Command{
			Name: o.name, Aliases: o.aliases, Usage: o.usage, ArgsUsage: forms,
			Flags:  slices.Concat(o.flags, flags, []cli.Flag{&cli.IntFlag{Name: "limit", Value: 500, Usage: "at most `N` invocations, the oldest first"}}),
			Action: func(c *cli.Context) error { return r.steer(c, o) },
		})
	}
	return commands
}

// shownMax is how many invocations a question lists.
const shownMax = 50

// steer finds invocations, shows them, asks, and changes them.
func (r *runner) steer(c *cli.Context, o operation) error {
	word, where, err := meant(c, o)
	if err != nil {
		return err
	}
	if c.Bool("kill") {
		o.path, o.verb, o.done = "kill", "kill", "Killed"
	}
	limit := c.Int("limit")
	if limit < 1 {
		return argv.Usagef("invalid value '%d' for '--limit': 1 or more", limit)
	}
	if err := r.connect(c); err != nil {
		return err
	}
	found, err := r.find(c.Context, word, append(where, o.where), limit, o)
	if err != nil {
		return err
	}
	if c.IsSet("from") && len(found) > 1 {
		return argv.Usagef("'--from' is for a single invocation, and %d match", len(found))
	}
	if err := r.confirm(fmt.Sprintf("\nAre you sure you want to %s %s?", o.verb, times(len(found), "invocation"))); err != nil {
		return err
	}
	return r.change(c, o, found)
}

// meant is what the words and flags of a command name.
func meant(c *cli.Context, o operation) (word string, where []string, err error) {
	if where, err = selected(c, !o.moves); err != nil {
		return "", nil, err
	}
	switch {
	case c.NArg() == 0 && len(where) == 0:
		return "", nil, argv.Usagef("the following required arguments were not provided:\n  %s, or flags such as --service", forms)
	case c.NArg() == 0:
		return "", where, nil
	}
	if word, err = argument(c, "QUERY"); err != nil {
		return "", nil, err
	}
	condition, err := matching(word)
	if err != nil {
		return "", nil, err
	}
	return word, append(where, condition), nil
}

// find returns the invocations that a change is about, and shows them.
func (r *runner) find(ctx context.Context, word string, where []string, limit int, o operation) ([]invocationRow, error) {
	condition := strings.Join(where, " AND ")
	ids, total, err := r.findIDs(ctx, condition, "inv.created_at ASC, inv.id", limit)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, r.nothing(ctx, word, o)
	}
	var rows []invocationRow
	query := fmt.Sprintf("SELECT inv.id, inv.target, inv.status, inv.created_at FROM sys_invocation inv WHERE inv.id IN (%s) ORDER BY inv.created_at ASC, inv.id", quoteAll(ids))
	if err := r.client.query(ctx, query, &rows); err != nil {
		return nil, err
	}
	t := grid.Table{Header: []string{"ID", "TARGET", "STATUS", "CREATED-AT"}}
	for _, i := range rows[:min(len(rows), shownMax)] {
		t.Add(i.ID, visible(i.Target), i.Status, r.stamp(i.Created))
	}
	r.printf("%s", t.Draw(r.style))
	if len(rows) > shownMax {
		r.printf(" ... and %d more\n", len(rows)-shownMax)
	}
	if total != fmt.Sprint(len(ids)) {
		r.warn(fmt.Sprintf("%s invocations match, and this is about the oldest %d of them; --limit says how many", total, len(ids)))
	}
	return rows, nil
}

// nothing is the error when no invocation can be changed. Of a single one it says why.
func (r *runner) nothing(ctx context.Context, word string, o operation) error {
	what := "No invocations found"
	if word != "" {
		what += " for query " + word
	}
	err := fmt.Errorf("%s! Note that %s only works on %s", what, o.name, o.only)
	if !strings.HasPrefix(word, "inv_") {
		return hint(err, "See what there is: reprise invocations list --all")
	}
	var rows []invocationRow
	if qerr := r.client.query(ctx, "SELECT inv.id, inv.status FROM sys_invocation inv WHERE inv.id = "+quote(word), &rows); qerr != nil {
		return errors.Join(err, qerr)
	}
	switch {
	case len(rows) == 0:
		return fmt.Errorf("invocation %s not found", word)
	case rows[0].Status == "completed":
		return hint(fmt.Errorf("invocation %s is completed; %s only works on %s", word, o.name, o.only),
			"Forget it: reprise invocations purge %[1]s\nCall it again: reprise invocations restart-as-new %[1]s", word)
	default:
		return hint(fmt.Errorf("invocation %s is %s; %s only works on %s", word, rows[0].Status, o.name, o.only),
			"See why: reprise invocations describe %[1]s\nEnd it: reprise invocations cancel %[1]s", word)
	}
}

// batchMax is how many invocations one request changes: few enough that each is answered soon.
const batchMax = 100

type (
	batchRequest struct {
		IDs        []string `json:"invocation_ids"`
		Deployment string   `json:"deployment,omitempty"`
	}
	batchAnswer struct {
		Succeeded []batchSuccess `json:"succeeded"`
		Failed    []batchFailure `json:"failed"`
	}
	batchSuccess struct{ Old, New string } // New: of a restart
	batchFailure struct {
		ID    string `json:"invocation_id"`
		Error string `json:"error"`
	}
)

// UnmarshalJSON implements json.Unmarshaler: a restart answers with two ids, all others with one.
func (s *batchSuccess) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &s.Old)
	}
	var ids struct {
		Old string `json:"old_invocation_id"`
		New string `json:"new_invocation_id"`
	}
	if err := json.Unmarshal(b, &ids); err != nil {
		return err
	}
	s.Old, s.New = ids.Old, ids.New
	return nil
}

// change does it, and says what could not be done.
func (r *runner) change(c *cli.Context, o operation, rows []invocationRow) error {
	var all batchAnswer
	var err error
	if c.IsSet("from") {
		all, err = r.restartFrom(c, rows[0].ID)
	} else {
		all, err = r.changeAll(c, o, rows)
	}
	if n := len(all.Succeeded); n > 0 {
		r.printf("\n")
		r.ok("%s %d invocations%s", o.done, n, map[bool]string{true: ":"}[o.path == "restart-as-new"])
	}
	if o.path == "restart-as-new" && len(all.Succeeded) > 0 {
		t := grid.Table{Header: []string{"OLD ID", "NEW ID"}}
		for _, s := range all.Succeeded {
			t.Add(s.Old, s.New)
		}
		r.printf("%s", t.Draw(r.style))
	}
	for _, f := range all.Failed {
		r.note(f.ID + ": " + visible(f.Error))
	}
	if err != nil {
		return fmt.Errorf("after %d of %s: %w", len(all.Succeeded)+len(all.Failed), times(len(rows), "invocation"), err)
	}
	if n := len(all.Failed); n > 0 {
		return hint(fmt.Errorf("%d of %s could not be changed", n, times(len(rows), "invocation")), "See why: reprise invocations describe %s", all.Failed[0].ID)
	}
	return nil
}

// changeAll changes them batch by batch. With an error it returns what was done before it.
func (r *runner) changeAll(c *cli.Context, o operation, rows []invocationRow) (all batchAnswer, err error) {
	bar := r.newBar(len(rows))
	defer bar.end()
	for chunk := range slices.Chunk(rows, batchMax) {
		in := batchRequest{}
		if o.moves {
			in.Deployment = c.String("deployment")
		}
		for _, i := range chunk {
			in.IDs = append(in.IDs, i.ID)
		}
		var got batchAnswer
		if err := r.client.call(c.Context, http.MethodPost, "/internal/invocations_batch_operations/"+o.path, in, &got); err != nil {
			return all, err
		}
		all.Succeeded, all.Failed = append(all.Succeeded, got.Succeeded...), append(all.Failed, got.Failed...)
		bar.add(len(chunk))
	}
	return all, nil
}

// restartFrom restarts one with a part of its journal, which no batch can.
func (r *runner) restartFrom(c *cli.Context, which string) (all batchAnswer, err error) {
	values := url.Values{"from": {fmt.Sprint(c.Int("from"))}}
	if d := c.String("deployment"); d != "" {
		values.Set("deployment", d)
	}
	var got struct {
		New string `json:"new_invocation_id"`
	}
	err = r.client.call(c.Context, http.MethodPatch, "/invocations/"+escape(which)+"/restart-as-new?"+values.Encode(), nil, &got)
	var refused *serverError
	switch {
	case errors.As(err, &refused) && refused.status < http.StatusInternalServerError:
		all.Failed = []batchFailure{{which, refused.message}}
		return all, nil
	case err != nil:
		return all, err
	}
	all.Succeeded = []batchSuccess{{which, got.New}}
	return all, nil
}

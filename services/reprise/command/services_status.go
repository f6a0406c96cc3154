package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

func (r *runner) servicesStatus() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show what services do: counts, keys that are held, recent invocations", ArgsUsage: "[SERVICE]",
		Flags: append(watchFlags(),
			&cli.IntFlag{Name: "locked-keys-limit", Value: 5, Usage: "`NUMBER` of keys to show of each service"},
			&cli.Int64Flag{Name: "locked-key-held-threshold-second", Value: 5, Usage: "say of keys how long they are held after so many `SECONDS`"},
			&cli.IntFlag{Name: "sample-invocations-limit", Value: 5, Usage: "`NUMBER` of recent invocations to show"},
		),
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return argv.Usagef("unexpected argument '%s' found", c.Args().Get(1))
			}
			if c.Int("locked-keys-limit") < 0 || c.Int("sample-invocations-limit") < 0 {
				return argv.Usagef("a limit is at least 0")
			}
			if err := r.connect(c); err != nil {
				return err
			}
			s := status{
				runner: r, name: c.Args().First(), keys: c.Int("locked-keys-limit"), sample: c.Int("sample-invocations-limit"),
				held: time.Duration(c.Int64("locked-key-held-threshold-second")) * time.Second,
			}
			return r.watch(c, func() error { return s.show(c.Context) })
		},
	}
}

// status is one look at what services do.
type status struct {
	*runner
	name   string        // of the service, or empty for all
	keys   int           // to show of each service
	held   time.Duration // from which a held key is worth a note
	sample int           // invocations to show
}

// statuses are the columns of the summary: what an invocation that is not completed can be.
var statuses = []string{"pending", "scheduled", "ready", "running", "backing-off", "suspended", "paused"}

func (s *status) show(ctx context.Context) error {
	var services []serviceModel
	if s.name != "" {
		one, err := s.service(ctx, s.name)
		if err != nil {
			return err
		}
		services = []serviceModel{one}
	} else {
		var all servicesModel
		if err := s.client.get(ctx, "/services", &all); err != nil {
			return err
		}
		services = sorted(all.Services)
	}
	if len(services) == 0 {
		s.note("No services were found! Services are added by registering deployments with 'reprise deployments register'")
		return nil
	}
	if err := s.summary(ctx, services); err != nil {
		return err
	}
	keyed := slices.DeleteFunc(slices.Clone(services), func(m serviceModel) bool { return m.Ty == "Service" })
	if len(keyed) > 0 {
		if err := s.activeKeys(ctx, keyed); err != nil {
			return err
		}
	}
	if s.name != "" && s.sample > 0 {
		return s.recent(ctx)
	}
	return nil
}

func quotedNames(services []serviceModel) string {
	out := make([]string, len(services))
	for i, m := range services {
		out[i] = m.Name
	}
	return quoteAll(out)
}

// summary counts invocations by handler and status, and names the one that has waited longest.
func (s *status) summary(ctx context.Context, services []serviceModel) error {
	var counted []struct {
		Service string `json:"service"`
		Handler string `json:"handler"`
		Status  string `json:"status"`
		N       int64  `json:"n"`
	}
	open := " FROM sys_invocation WHERE target_service_name IN (" + quotedNames(services) + ") AND status != 'completed'"
	err := s.client.query(ctx, "SELECT target_service_name AS service, target_handler_name AS handler, status, COUNT(1) AS n"+open+
		" GROUP BY target_service_name, target_handler_name, status", &counted)
	if err != nil {
		return fmt.Errorf("counting invocations: %w", err)
	}
	type cell struct{ service, handler, status string }
	counts := map[cell]int64{}
	for _, row := range counted {
		counts[cell{row.Service, row.Handler, row.Status}] += row.N
	}
	oldest, err := s.oldest(ctx, open)
	if err != nil {
		return err
	}
	t := grid.Table{Header: []string{""}}
	for _, name := range statuses {
		t.Header = append(t.Header, strings.ToUpper(name))
	}
	t.Header = append(t.Header, "OLDEST-NON-SUSPENDED-INVOCATION")
	for _, m := range services {
		t.Add(strings.TrimSpace(s.paint(bold, m.Name) + " " + m.flavor()))
		for _, h := range m.Handlers {
			row := []string{"  " + h.Name}
			for _, name := range statuses {
				text := "-"
				if n := counts[cell{m.Name, h.Name, name}]; n > 0 {
					text = fmt.Sprint(n)
				}
				row = append(row, text)
			}
			first := "-"
			if o, ok := oldest[[2]string{m.Name, h.Name}]; ok {
				first = fmt.Sprintf("%s %s (invoked %s)", o.ID, s.paintState(o.Status), s.ago(o.CreatedAt))
			}
			t.Add(append(row, first)...)
		}
		t.Add("")
	}
	s.section("Summary")
	s.printf("%s", t.Draw(s.style))
	return nil
}

// waiting is an invocation that is not completed.
type waiting struct {
	ID        string `json:"id"`
	Service   string `json:"service"`
	Handler   string `json:"handler"`
	Target    string `json:"target"`
	Status    string `json:"status"`
	CreatedAt string `json:"created_at"`
}

// oldest returns the oldest invocation of each handler that is neither completed nor suspended.
func (s *status) oldest(ctx context.Context, open string) (map[[2]string]waiting, error) {
	var rows []waiting
	err := s.client.query(ctx, "SELECT target_service_name AS service, target_handler_name AS handler, FIRST_VALUE(id ORDER BY created_at ASC) AS id,"+
		" FIRST_VALUE(status ORDER BY created_at ASC) AS status, MIN(created_at) AS created_at"+open+
		" AND status != 'suspended' GROUP BY target_service_name, target_handler_name", &rows)
	if err != nil {
		return nil, fmt.Errorf("oldest invocations: %w", err)
	}
	out := map[[2]string]waiting{}
	for _, row := range rows {
		out[[2]string{row.Service, row.Handler}] = row
	}
	return out, nil
}

// heldKey is a key of an object that an invocation holds or waits for.
type heldKey struct {
	Service string `json:"service_name"`
	Key     string `json:"service_key"`
	Queue   int64  `json:"queue"`
	holder  holder
}

// holder is the invocation that holds a key.
type holder struct {
	Service string `json:"service_name"`
	Key     string `json:"service_key"`
	ID      string `json:"id"`
	Status  string `json:"status"`
	Handler string `json:"handler"`
	Since   string `json:"modified_at"`
	Retries int64  `json:"retry_count"`
	Failure string `json:"last_failure"`
}

// activeKeys shows the keys with the longest queues, then those that are merely held.
func (s *status) activeKeys(ctx context.Context, services []serviceModel) error {
	var queued []heldKey
	err := s.client.query(ctx, "SELECT service_name, service_key, COUNT(1) AS queue FROM sys_inbox WHERE service_name IN ("+quotedNames(services)+
		") GROUP BY service_name, service_key", &queued)
	if err != nil {
		return fmt.Errorf("queues of keys: %w", err)
	}
	var holders []holder
	err = s.client.query(ctx, "SELECT k.service_name, k.service_key, i.id, i.status, i.target_handler_name AS handler, i.modified_at, i.retry_count, i.last_failure"+
		" FROM sys_keyed_service_status k LEFT JOIN sys_invocation i ON k.invocation_id = i.id WHERE k.service_name IN ("+quotedNames(services)+")", &holders)
	if err != nil {
		return fmt.Errorf("holders of keys: %w", err)
	}
	keys := map[[2]string]heldKey{}
	for _, q := range queued {
		keys[[2]string{q.Service, q.Key}] = q
	}
	for _, h := range holders {
		k := keys[[2]string{h.Service, h.Key}]
		k.Service, k.Key, k.holder = h.Service, h.Key, h
		keys[[2]string{h.Service, h.Key}] = k
	}
	t := grid.Table{Header: []string{"", "QUEUE", "LOCKED-BY", "HANDLER", "NOTES"}}
	for _, m := range services {
		s.addKeys(&t, m, keys)
	}
	if len(t.Rows) == 0 {
		return nil
	}
	s.printf("\n")
	s.section("Active Keys")
	s.printf("%s", t.Draw(s.style))
	return nil
}

func (s *status) addKeys(t *grid.Table, m serviceModel, keys map[[2]string]heldKey) {
	var mine []heldKey
	for _, k := range keys {
		if k.Service == m.Name {
			mine = append(mine, k)
		}
	}
	if len(mine) == 0 {
		return
	}
	slices.SortFunc(mine, func(a, b heldKey) int {
		if a.Queue != b.Queue {
			return int(b.Queue - a.Queue)
		}
		return strings.Compare(a.Key, b.Key)
	})
	t.Add(fmt.Sprintf("%s (%d active keys)", s.paint(bold, m.Name), len(mine)))
	for _, k := range mine[:min(len(mine), s.keys)] {
		by := "-"
		if k.holder.ID != "" {
			by = fmt.Sprintf("%s (%s)", k.holder.ID, s.paintState(k.holder.Status))
		}
		t.Add("  "+visible(k.Key), fmt.Sprint(k.Queue), by, k.holder.Handler, s.notes(k.holder))
	}
	t.Add("")
}

// notes say what is remarkable about the holder of a key.
func (s *status) notes(h holder) string {
	var lines []string
	if at, err := time.Parse(time.RFC3339Nano, h.Since); err == nil && h.Status != "completed" {
		if d := s.env.Clock.Now().Sub(at); d >= s.held {
			lines = append(lines, fmt.Sprintf("It has been %s for %s", h.Status, humanDuration(d.Truncate(time.Second))))
		}
	}
	if h.Retries > 1 {
		lines = append(lines, fmt.Sprintf("%d attempts", h.Retries))
	}
	if h.Failure != "" {
		first, _, _ := strings.Cut(h.Failure, "\n")
		lines = append(lines, s.paint(red, "Last failure: "+visible(first)))
	}
	return strings.Join(lines, "\n")
}

// recent shows the newest invocations of the service.
func (s *status) recent(ctx context.Context) error {
	var rows []waiting
	err := s.client.query(ctx, fmt.Sprintf("SELECT id, target, status, created_at FROM sys_invocation WHERE target_service_name = %s ORDER BY created_at DESC LIMIT %d",
		quote(s.name), s.sample), &rows)
	if err != nil {
		return fmt.Errorf("recent invocations: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	t := grid.Table{Header: []string{"CREATED-AT", "ID", "TARGET", "STATUS"}}
	for _, row := range rows {
		t.Add(s.time.Show(row.CreatedAt), row.ID, visible(row.Target), s.paintState(row.Status))
	}
	s.printf("\n")
	s.section("Recent Invocations")
	s.printf("%s\n'reprise invocations describe <ID>' shows one of them.\n", t.Draw(s.style))
	return nil
}

// paintState colours the status of an invocation.
func (r *runner) paintState(status string) string {
	switch status {
	case "running":
		return r.paint(green, status)
	case "backing-off", "paused":
		return r.paint(red, status)
	case "pending", "scheduled", "ready", "suspended":
		return r.paint(yellow, status)
	default:
		return status
	}
}

// ago is how long before now something was; the form of times decides.
func (r *runner) ago(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !r.time.Human() {
		return r.time.Show(text)
	}
	return humanAgo(r.env.Clock.Now().Sub(at))
}

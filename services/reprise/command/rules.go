package command

import (
	"context"
	"fmt"
	"net/http"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

type (
	ruleModel struct {
		Pattern     string `json:"pattern"`
		Concurrency *int64 `json:"concurrency"` // nil: unlimited
		Description string `json:"description"`
		Disabled    bool   `json:"disabled"`
		Version     int64  `json:"version"`
		Modified    string `json:"last_modified"`
	}
	ruleRequest struct {
		Pattern      string       `json:"pattern"`
		Limits       ruleLimits   `json:"limits"`
		Description  string       `json:"description,omitempty"`
		Disabled     bool         `json:"disabled"`
		Precondition precondition `json:"precondition"`
	}
	ruleLimits struct {
		Concurrency *int64 `json:"concurrency"`
	}
	// precondition keeps a change from undoing one that the user has not seen.
	precondition struct {
		Type    string `json:"type"` // does_not_exist, or matches
		Version *int64 `json:"version,omitempty"`
	}
	ruleRemoval struct {
		Pattern string `json:"pattern"`
		Version int64  `json:"expected_version"`
	}
)

func (m ruleModel) limit() string {
	if m.Concurrency == nil {
		return "unlimited"
	}
	return fmt.Sprint(*m.Concurrency)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (r *runner) rules() *cli.Command {
	return &cli.Command{
		Name: "rules", Aliases: []string{"rule"}, Usage: "look at rules that limit concurrency and change them",
		Subcommands: []*cli.Command{
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the rules",
				Flags: append(watchFlags(), jsonFlag(),
					&cli.BoolFlag{Name: "extra", Aliases: []string{"x"}, Usage: "show description, version and time of the last change, too"}),
				Action: r.rulesList,
			},
			{
				Name: "set", Usage: "create or change a rule", ArgsUsage: "<PATTERN>",
				Flags: []cli.Flag{
					&cli.Int64Flag{Name: "concurrency", Usage: "`NUMBER` of invocations that may run at once, at least 1; by default a new rule has no limit"},
					&cli.BoolFlag{Name: "unlimited", Usage: "no limit"},
					&cli.StringFlag{Name: "description", Usage: "`TEXT` that says what the rule is for"},
					&cli.BoolFlag{Name: "disabled", Usage: "a new rule that does not apply yet"},
				},
				Action: r.ruleSet,
			},
			{
				Name: "enable", Usage: "let a rule apply again", ArgsUsage: "<PATTERN>",
				Action: func(c *cli.Context) error { return r.ruleSwitch(c, false) },
			},
			{
				Name: "disable", Usage: "keep a rule that does not apply", ArgsUsage: "<PATTERN>",
				Action: func(c *cli.Context) error { return r.ruleSwitch(c, true) },
			},
			{Name: "delete", Aliases: []string{"rm"}, Usage: "remove a rule", ArgsUsage: "<PATTERN>", Action: r.ruleDelete},
		},
	}
}

const selectRules = "SELECT pattern, concurrency, description, disabled, version, last_modified FROM sys_rules"

func (r *runner) rulesList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		rules := []ruleModel{}
		if err := r.client.query(c.Context, selectRules+" ORDER BY pattern ASC", &rules); err != nil {
			return err
		}
		if c.Bool("json") {
			return r.printJSON(rules)
		}
		if len(rules) == 0 {
			r.printf("No rules defined.\n")
			return nil
		}
		t := grid.Table{Header: []string{"PATTERN", "CONCURRENCY", "DISABLED"}}
		if c.Bool("extra") {
			t.Header = append(t.Header, "DESCRIPTION", "VERSION", "LAST MODIFIED")
		}
		for _, m := range rules {
			row := []string{visible(m.Pattern), m.limit(), yesNo(m.Disabled)}
			if c.Bool("extra") {
				row = append(row, visible(m.Description), fmt.Sprint(m.Version), r.time.Show(m.Modified))
			}
			t.Add(row...)
		}
		r.printf("%s", t.Draw(r.style))
		return nil
	})
}

// rule finds a rule; nil when there is none.
func (r *runner) rule(ctx context.Context, pattern string) (*ruleModel, error) {
	var rules []ruleModel
	if err := r.client.query(ctx, selectRules+" WHERE pattern = "+quote(pattern), &rules); err != nil || len(rules) == 0 {
		return nil, err
	}
	return &rules[0], nil
}

// knownRule finds a rule that must be there.
func (r *runner) knownRule(ctx context.Context, pattern string) (*ruleModel, error) {
	m, err := r.rule(ctx, pattern)
	if err == nil && m == nil {
		err = hint(fmt.Errorf("no rule found with pattern '%s'", pattern), "'reprise rules list' shows the rules.")
	}
	return m, err
}

// putRule stores a rule, unless someone else changed it meanwhile. Of a new rule, old is nil.
func (r *runner) putRule(ctx context.Context, old *ruleModel, m ruleModel) (version int64, err error) {
	q := ruleRequest{
		Pattern: m.Pattern, Limits: ruleLimits{m.Concurrency}, Description: m.Description, Disabled: m.Disabled,
		Precondition: precondition{Type: "does_not_exist"},
	}
	if old != nil {
		q.Precondition = precondition{Type: "matches", Version: &old.Version}
	}
	var stored []ruleModel
	if err := r.client.call(ctx, http.MethodPut, "/limits/rules", []ruleRequest{q}, &stored); err != nil {
		return 0, err
	}
	if len(stored) != 1 {
		return 0, fmt.Errorf("the server answers %d rules for one", len(stored))
	}
	return stored[0].Version, nil
}

func (r *runner) ruleSet(c *cli.Context) error {
	pattern, err := argument(c, "PATTERN")
	if err != nil {
		return err
	}
	limit := c.Int64("concurrency")
	switch {
	case c.IsSet("concurrency") && c.Bool("unlimited"):
		return argv.Usagef("the argument '--concurrency' cannot be used with '--unlimited'")
	case c.IsSet("concurrency") && limit < 1:
		return argv.Usagef("invalid value '%d' for '--concurrency': at least 1", limit)
	}
	if err := r.connect(c); err != nil {
		return err
	}
	old, err := r.rule(c.Context, pattern)
	if err != nil {
		return err
	}
	m := ruleModel{Pattern: pattern, Disabled: c.Bool("disabled")}
	done := "Created"
	if old != nil {
		if c.Bool("disabled") {
			return hint(fmt.Errorf("rule '%s' already exists", pattern), "To disable it: reprise rules disable %s", shellWord(pattern))
		}
		m, done = *old, "Updated"
	}
	switch {
	case c.IsSet("concurrency"):
		m.Concurrency = &limit
	case c.Bool("unlimited"):
		m.Concurrency = nil
	}
	if c.IsSet("description") {
		m.Description = c.String("description")
	}
	version, err := r.putRule(c.Context, old, m)
	if err != nil {
		return err
	}
	r.ok("%s rule '%s' (version v%d)", done, pattern, version)
	return nil
}

func (r *runner) ruleSwitch(c *cli.Context, disabled bool) error {
	pattern, err := argument(c, "PATTERN")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	old, err := r.knownRule(c.Context, pattern)
	if err != nil {
		return err
	}
	word := map[bool]string{true: "disabled", false: "enabled"}[disabled]
	if old.Disabled == disabled {
		r.printf("Rule '%s' is already %s.\n", pattern, word)
		return nil
	}
	m := *old
	m.Disabled = disabled
	if _, err := r.putRule(c.Context, old, m); err != nil {
		return err
	}
	r.ok("Rule '%s' %s", pattern, word)
	return nil
}

func (r *runner) ruleDelete(c *cli.Context) error {
	pattern, err := argument(c, "PATTERN")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	m, err := r.knownRule(c.Context, pattern)
	if err != nil {
		return err
	}
	t := grid.Table{}
	t.Add("Pattern:", visible(m.Pattern))
	t.Add("Concurrency:", m.limit())
	if m.Description != "" {
		t.Add("Description:", visible(m.Description))
	}
	t.Add("Disabled:", yesNo(m.Disabled))
	r.printf("%s", t.Draw(grid.Compact))
	if err := r.confirm("Delete rule '" + pattern + "'?"); err != nil {
		return err
	}
	if err := r.client.call(c.Context, http.MethodPost, "/limits/rules/bulk-delete", []ruleRemoval{{pattern, m.Version}}, nil); err != nil {
		return err
	}
	r.ok("Deleted rule '%s'", pattern)
	return nil
}

package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

func (r *runner) servicesConfig() *cli.Command {
	flags := []cli.Flag{&cli.StringFlag{Name: "public", Usage: "`true` or false: whether the ingress takes calls of it"}}
	for _, f := range durations {
		flags = append(flags, &cli.StringFlag{Name: f.flag, Usage: "`DURATION` such as 1d 12h or PT36H: " + f.usage})
	}
	return &cli.Command{
		Name: "config", Usage: "look at the settings of a service and change them",
		Subcommands: []*cli.Command{
			{Name: "view", Usage: "show the settings", ArgsUsage: "<SERVICE>", Flags: []cli.Flag{jsonFlag()}, Action: r.serviceConfigView},
			{Name: "edit", Usage: "change the settings in an editor", ArgsUsage: "<SERVICE>", Action: r.serviceConfigEdit},
			{Name: "patch", Usage: "change some settings", ArgsUsage: "<SERVICE>", Flags: flags, Action: r.serviceConfigPatch},
		},
	}
}

// serviceChange is the body of PATCH /services/{service}: nil leaves a setting as it is.
type serviceChange struct {
	Public      *bool   `json:"public" toml:"public"`
	Idempotency *string `json:"idempotency_retention" toml:"idempotency_retention"`
	Workflow    *string `json:"workflow_completion_retention" toml:"workflow_completion_retention"`
	Journal     *string `json:"journal_retention" toml:"journal_retention"`
	Inactivity  *string `json:"inactivity_timeout" toml:"inactivity_timeout"`
	Abort       *string `json:"abort_timeout" toml:"abort_timeout"`
}

// durationSetting is a setting of a service that is a time.
type durationSetting struct {
	flag, title, usage string
	of                 func(*serviceChange) **string
}

// durations are the settings that can be changed, apart from public.
var durations = []durationSetting{
	{"idempotency-retention", "Idempotent requests retention", "how long a result is kept under its idempotency key",
		func(s *serviceChange) **string { return &s.Idempotency }},
	{"workflow-completion-retention", "Workflow retention", "how long a workflow's result, state and promises are kept",
		func(s *serviceChange) **string { return &s.Workflow }},
	{"journal-retention", "Journal retention", "how long the journal is kept after the end; the retention of the result caps it",
		func(s *serviceChange) **string { return &s.Journal }},
	{"inactivity-timeout", "Inactivity timeout", "how long an attempt may say nothing until it is asked to suspend",
		func(s *serviceChange) **string { return &s.Inactivity }},
	{"abort-timeout", "Abort timeout", "how long after that it is cut off, which may interrupt code",
		func(s *serviceChange) **string { return &s.Abort }},
}

func (s serviceModel) settings() serviceChange {
	text := func(v string) *string {
		if v == "" {
			return nil
		}
		return &v
	}
	return serviceChange{&s.Public, text(s.Idempotency), text(s.Workflow), text(s.Journal), text(s.Inactivity), text(s.Abort)}
}

func (r *runner) serviceConfigView(c *cli.Context) error {
	name, err := argument(c, "SERVICE")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	if c.Bool("json") {
		return r.printAnswer(c.Context, "/services/"+escape(name))
	}
	m, err := r.service(c.Context, name)
	if err != nil {
		return err
	}
	show := func(title, value, tip string) {
		t := grid.Table{}
		t.Add(title+":", value)
		r.printf("%s", t.Draw(grid.Compact))
		r.tip(tip)
		r.printf("\n")
	}
	head := grid.Table{}
	head.Add("Name:", m.Name)
	head.Add("Service type:", m.Ty)
	r.printf("%s\n", head.Draw(grid.Compact))
	show("Public", fmt.Sprint(m.Public), "whether the ingress takes calls of it")
	settings := m.settings()
	for _, f := range durations {
		if v := *f.of(&settings); v != nil {
			show(f.title, *v, f.usage)
		}
	}
	show("Enable lazy state", fmt.Sprint(m.LazyState), "whether an attempt starts without the state of its key and asks for what it reads")
	p := m.Retry
	attempts := "unlimited"
	if p.Attempts != nil {
		attempts = fmt.Sprint(*p.Attempts)
	}
	t := grid.Table{}
	t.Add(r.paint(bold, "Retry Policy:"))
	t.Add("  Max attempts:", attempts)
	t.Add("  On max attempts:", p.OnMax)
	t.Add("  Initial interval:", p.Initial)
	t.Add("  Exponentiation factor:", fmt.Sprint(p.Factor))
	t.Add("  Max interval:", p.Max)
	r.printf("%s", t.Draw(grid.Compact))
	r.tip("an attempt that failed is tried again after the initial interval, times the factor for each further one, up to the max interval")
	return nil
}

func (r *runner) serviceConfigPatch(c *cli.Context) error {
	name, err := argument(c, "SERVICE")
	if err != nil {
		return err
	}
	var change serviceChange
	switch v := c.String("public"); {
	case !c.IsSet("public"):
	case v == "true" || v == "false":
		public := v == "true"
		change.Public = &public
	default:
		return argv.Usagef("invalid value '%s' for '--public': true or false", v)
	}
	for _, f := range durations {
		if c.IsSet(f.flag) {
			v := c.String(f.flag)
			*f.of(&change) = &v
		}
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.changeService(c.Context, name, change)
}

// changeService shows what will change, asks, and does it.
func (r *runner) changeService(ctx context.Context, name string, change serviceChange) error {
	t := grid.Table{}
	if change.Public != nil {
		t.Add("Public:", fmt.Sprint(*change.Public))
	}
	for _, f := range durations {
		if v := *f.of(&change); v != nil {
			t.Add(f.title+":", visible(*v))
		}
	}
	if len(t.Rows) == 0 {
		r.printf("No changes requested\n")
		return nil
	}
	r.printf("%s", t.Draw(grid.Compact))
	if err := r.confirm("Are you sure you want to apply these changes?"); err != nil {
		return err
	}
	if err := r.client.call(ctx, http.MethodPatch, "/services/"+escape(name), change, nil); err != nil {
		return hint(err, "'reprise services config view %s' shows the settings as they are.", name)
	}
	r.ok("Settings of %s changed", name)
	return nil
}

func (r *runner) serviceConfigEdit(c *cli.Context) error {
	name, err := argument(c, "SERVICE")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	m, err := r.service(c.Context, name)
	if err != nil {
		return err
	}
	before := m.settings()
	text, err := r.edit(c.Context, "service.toml", before.template(name))
	if err != nil {
		return err
	}
	after, err := parseSettings(text)
	if err != nil {
		return err
	}
	return r.changeService(c.Context, name, after.since(before))
}

// template is the settings as a file to edit.
func (s serviceChange) template(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of the service %s. Durations are such as \"1d 12h\" or \"PT36H\".\n# What is removed here stays as it is.\n\n", name)
	fmt.Fprintf(&b, "# whether the ingress takes calls of it\npublic = %t\n", *s.Public)
	for _, f := range durations {
		if v := *f.of(&s); v != nil {
			fmt.Fprintf(&b, "\n# %s\n%s = %q\n", f.usage, strings.ReplaceAll(f.flag, "-", "_"), *v)
		}
	}
	return b.String()
}

func parseSettings(text string) (s serviceChange, err error) {
	d := toml.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return s, fmt.Errorf("edited settings: %s is none that can be changed", strings.Join(strict.Errors[0].Key(), "."))
		}
		return s, fmt.Errorf("edited settings: %w", err)
	}
	return s, nil
}

// since returns what differs from before.
func (s serviceChange) since(before serviceChange) serviceChange {
	if s.Public != nil && before.Public != nil && *s.Public == *before.Public {
		s.Public = nil
	}
	for _, f := range durations {
		now, then := f.of(&s), *f.of(&before)
		if *now != nil && then != nil && **now == *then {
			*now = nil
		}
	}
	return s
}

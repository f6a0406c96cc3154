package command

import (
	"context"
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

type (
	subscriptionModel struct {
		ID      string            `json:"id"`
		Source  string            `json:"source"`
		Sink    string            `json:"sink"`
		Options map[string]string `json:"options"`
	}
	subscriptionRequest struct {
		Source  string            `json:"source"`
		Sink    string            `json:"sink"`
		Options map[string]string `json:"options"` // null when there are none
	}
)

func (r *runner) subscriptions() *cli.Command {
	return &cli.Command{
		Name: "subscriptions", Aliases: []string{"sub"}, Usage: "look at subscriptions of Kafka topics and change them",
		Subcommands: []*cli.Command{
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the subscriptions",
				Flags: append(watchFlags(), jsonFlag(),
					&cli.StringFlag{Name: "source", Usage: "only those of this `URI`, such as kafka://cluster/topic"},
					&cli.StringFlag{Name: "sink", Usage: "only those that go to this `URI`, such as service://Service/Handler"},
				),
				Action: r.subscriptionsList,
			},
			{
				Name: "create", Usage: "call a handler for each record of a topic", ArgsUsage: "[SOURCE] [SINK] [KEY=VALUE...]",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "from-file", Aliases: []string{"f"}, Usage: "`FILE` with source, sink and options: .properties, .conf or - as key=value, else TOML with a table [options]"},
					&cli.BoolFlag{Name: "edit", Usage: "write source, sink and options in an editor"},
				},
				Action: r.subscriptionCreate,
			},
			{Name: "describe", Aliases: []string{"get"}, Usage: "show a subscription", ArgsUsage: "<ID>", Flags: append(watchFlags(), jsonFlag()), Action: r.subscriptionDescribe},
			{Name: "delete", Aliases: []string{"rm"}, Usage: "remove a subscription", ArgsUsage: "<ID>", Action: r.subscriptionDelete},
		},
	}
}

func subscriptionPath(id string) string { return "/subscriptions/" + escape(id) }

func (r *runner) subscriptionsList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	filter := url.Values{}
	for _, name := range []string{"source", "sink"} {
		if c.IsSet(name) {
			filter.Set(name, c.String(name))
		}
	}
	path := "/subscriptions"
	if len(filter) > 0 {
		path += "?" + filter.Encode()
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, path)
		}
		var all struct {
			Subscriptions []subscriptionModel `json:"subscriptions"`
		}
		if err := r.client.get(c.Context, path, &all); err != nil {
			return err
		}
		if len(all.Subscriptions) == 0 {
			r.printf("No subscriptions registered.\n")
			return nil
		}
		slices.SortFunc(all.Subscriptions, func(a, b subscriptionModel) int { return strings.Compare(a.ID, b.ID) })
		t := grid.Table{Header: []string{"ID", "SOURCE", "SINK", "OPTIONS"}}
		for _, m := range all.Subscriptions {
			t.Add(m.ID, visible(m.Source), visible(m.Sink), fmt.Sprint(len(m.Options)))
		}
		r.printf("%s", t.Draw(r.style))
		return nil
	})
}

// wantedSubscription puts together what arguments, a file or an editor say.
func (r *runner) wantedSubscription(c *cli.Context) (q subscriptionRequest, err error) {
	args := c.Args().Slice()
	if count(len(args) > 0, c.IsSet("from-file"), c.Bool("edit")) > 1 {
		return q, argv.Usagef("arguments, --from-file and --edit exclude each other")
	}
	switch {
	case c.IsSet("from-file"):
		top, options, err := r.readProperties(c.String("from-file"), "options")
		if err != nil {
			return q, err
		}
		q = asSubscription(top, options)
	case c.Bool("edit"):
		options, err := r.editProperties(c.Context, "subscription.properties",
			"A subscription: source and sink, then options as key=value of librdkafka, such as:\nsource=kafka://cluster/topic\nsink=service://Service/Handler\ngroup.id=my-group\n",
			map[string]string{"source": "", "sink": ""})
		if err != nil {
			return q, err
		}
		q = asSubscription(options, options)
	default:
		for i, to := range []*string{&q.Source, &q.Sink} {
			if i < len(args) {
				*to = args[i]
			}
		}
		if q.Options, err = pairs(args[min(2, len(args)):]); err != nil {
			return q, err
		}
	}
	if q.Source == "" || q.Sink == "" {
		return q, hint(errors.New("source and sink are required (or pass --from-file or --edit)"),
			"Such as: reprise subscriptions create kafka://cluster/topic service://Service/Handler")
	}
	if len(q.Options) == 0 {
		q.Options = nil
	}
	return q, nil
}

// asSubscription takes source and sink from top, where they may stand among the options.
func asSubscription(top, options map[string]string) subscriptionRequest {
	q := subscriptionRequest{Source: top["source"], Sink: top["sink"], Options: options}
	delete(options, "source")
	delete(options, "sink")
	return q
}

func (r *runner) subscriptionCreate(c *cli.Context) error {
	if err := r.begin(c); err != nil { // it says which editor
		return err
	}
	q, err := r.wantedSubscription(c)
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	t := grid.Table{}
	t.Add("Source:", visible(q.Source))
	t.Add("Sink:", visible(q.Sink))
	r.printf("%s", t.Draw(grid.Compact))
	if len(q.Options) == 0 {
		r.printf("Options: (none)\n")
	} else {
		r.printf("Options:\n%s", keyValues(q.Options).Draw(r.style))
	}
	if err := r.confirm("Create this subscription?"); err != nil {
		return err
	}
	var made subscriptionModel
	if err := r.client.call(c.Context, http.MethodPost, "/subscriptions", q, &made); err != nil {
		return hint(err, "'reprise kafka-clusters list' and 'reprise services list' show what there is to subscribe.")
	}
	r.ok("Subscription %s created", made.ID)
	return nil
}

// subscription returns a subscription.
func (r *runner) subscription(ctx context.Context, id string) (m subscriptionModel, err error) {
	err = r.client.get(ctx, subscriptionPath(id), &m)
	return m, hint(err, "'reprise subscriptions list' shows the subscriptions.")
}

func (m subscriptionModel) summary() grid.Table {
	t := grid.Table{}
	t.Add("ID:", m.ID)
	t.Add("Source:", visible(m.Source))
	t.Add("Sink:", visible(m.Sink))
	return t
}

func (r *runner) subscriptionDescribe(c *cli.Context) error {
	id, err := argument(c, "ID")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, subscriptionPath(id))
		}
		m, err := r.subscription(c.Context, id)
		if err != nil {
			return err
		}
		t := m.summary()
		r.section("Subscription")
		r.printf("%s\n", t.Draw(grid.Compact))
		r.section("Options")
		r.printf("%s", keyValues(m.Options).Draw(r.style))
		return nil
	})
}

func (r *runner) subscriptionDelete(c *cli.Context) error {
	id, err := argument(c, "ID")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	m, err := r.subscription(c.Context, id)
	if err != nil {
		return err
	}
	t := m.summary()
	r.printf("%s", t.Draw(grid.Compact))
	if err := r.confirm("Delete subscription " + m.ID + "?"); err != nil {
		return err
	}
	if err := r.client.call(c.Context, http.MethodDelete, subscriptionPath(id), nil, nil); err != nil {
		return err
	}
	r.ok("Subscription %s deleted", m.ID)
	return nil
}

package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

type (
	clusterModel struct {
		Name          string              `json:"name"`
		Properties    map[string]string   `json:"properties"`
		CreatedAt     string              `json:"created_at"`
		Info          []noticeModel       `json:"info"`
		Subscriptions []subscriptionModel `json:"subscriptions"`
	}
	clusterRequest struct {
		Name       string            `json:"name,omitempty"` // only of a new one
		Properties map[string]string `json:"properties"`
	}
)

func (m clusterModel) brokers() string {
	if v := m.Properties["bootstrap.servers"]; v != "" {
		return visible(v)
	}
	return visible(m.Properties["metadata.broker.list"])
}

func clusterPath(name string) string { return "/kafka-clusters/" + escape(name) }

func (r *runner) kafkaClusters() *cli.Command {
	file := &cli.StringFlag{Name: "from-file", Aliases: []string{"f"}, Usage: "`FILE` with the properties: .properties, .conf or - as key=value, else TOML with a table [properties]"}
	return &cli.Command{
		Name: "kafka-clusters", Aliases: []string{"kc"}, Usage: "look at Kafka clusters and change them",
		Subcommands: []*cli.Command{
			{Name: "list", Aliases: []string{"ls"}, Usage: "list the Kafka clusters", Flags: append(watchFlags(), jsonFlag()), Action: r.clustersList},
			{
				Name: "create", Usage: "register a Kafka cluster", ArgsUsage: "<NAME> [KEY=VALUE...]",
				Flags:  []cli.Flag{file, &cli.BoolFlag{Name: "edit", Usage: "write the properties in an editor"}},
				Action: r.clusterCreate,
			},
			{Name: "describe", Aliases: []string{"get"}, Usage: "show a Kafka cluster", ArgsUsage: "<NAME>", Flags: append(watchFlags(), jsonFlag()), Action: r.clusterDescribe},
			{Name: "edit", Usage: "change the properties in an editor", ArgsUsage: "<NAME>", Action: r.clusterEdit},
			{
				Name: "patch", Usage: "change some properties", ArgsUsage: "<NAME>",
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "set", Usage: "`KEY=VALUE` to set; may be repeated"},
					&cli.StringSliceFlag{Name: "unset", Usage: "`KEY` to remove; may be repeated"},
					file,
				},
				Action: r.clusterPatch,
			},
			{
				Name: "delete", Aliases: []string{"rm"}, Usage: "remove a Kafka cluster", ArgsUsage: "<NAME>",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "force", Usage: "also when subscriptions use it, which then stop"}},
				Action: r.clusterDelete,
			},
		},
	}
}

func (r *runner) clustersList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, "/kafka-clusters")
		}
		var all struct {
			Clusters []clusterModel `json:"clusters"`
		}
		if err := r.client.get(c.Context, "/kafka-clusters", &all); err != nil {
			return err
		}
		if len(all.Clusters) == 0 {
			r.printf("No Kafka clusters registered.\n")
			return nil
		}
		slices.SortFunc(all.Clusters, func(a, b clusterModel) int { return strings.Compare(a.Name, b.Name) })
		t := grid.Table{Header: []string{"NAME", "BROKERS", "PROPERTIES", "CREATED-AT"}}
		for _, m := range all.Clusters {
			t.Add(m.Name, m.brokers(), fmt.Sprint(len(m.Properties)), r.time.Show(m.CreatedAt))
		}
		r.printf("%s", t.Draw(r.style))
		return nil
	})
}

func (r *runner) clusterCreate(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) == 0 {
		return argv.Usagef("the following required arguments were not provided:\n  <NAME>")
	}
	q := clusterRequest{Name: args[0]}
	properties, err := pairs(args[1:])
	if err != nil {
		return err
	}
	if given := count(len(properties) > 0, c.IsSet("from-file"), c.Bool("edit")); given > 1 {
		return argv.Usagef("KEY=VALUE, --from-file and --edit exclude each other")
	}
	if err := r.connect(c); err != nil {
		return err
	}
	switch {
	case len(properties) > 0:
		q.Properties = properties
	case c.IsSet("from-file"):
		if _, q.Properties, err = r.readProperties(c.String("from-file"), "properties"); err != nil {
			return err
		}
	default:
		q.Properties, err = r.editProperties(c.Context, "kafka-cluster.properties", "Properties of the Kafka cluster '"+q.Name+"', as key=value of librdkafka.\n"+
			"bootstrap.servers or metadata.broker.list is required, such as:\nbootstrap.servers=broker-1:9092,broker-2:9092\n", nil)
		if err != nil {
			return err
		}
	}
	if len(q.Properties) == 0 {
		return hint(errors.New("a Kafka cluster needs properties"), "Such as: reprise kafka-clusters create %s bootstrap.servers=localhost:9092", q.Name)
	}
	r.printf("%s", keyValues(q.Properties).Draw(r.style))
	if err := r.confirm("Create Kafka cluster " + q.Name + "?"); err != nil {
		return err
	}
	if err := r.client.call(c.Context, http.MethodPost, "/kafka-clusters", q, nil); err != nil {
		return err
	}
	r.ok("Kafka cluster %s created", q.Name)
	return nil
}

// count counts what holds.
func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// cluster returns a Kafka cluster, with its subscriptions if they are wanted.
func (r *runner) cluster(ctx context.Context, name string, subscriptions bool) (m clusterModel, err error) {
	path := clusterPath(name)
	if subscriptions {
		path += "?include_subscriptions=true"
	}
	err = r.client.get(ctx, path, &m)
	return m, hint(err, "'reprise kafka-clusters list' shows the Kafka clusters.")
}

func (r *runner) clusterDescribe(c *cli.Context) error {
	name, err := argument(c, "NAME")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, clusterPath(name)+"?include_subscriptions=true")
		}
		m, err := r.cluster(c.Context, name, true)
		if err != nil {
			return err
		}
		t := grid.Table{}
		t.Add("Name:", m.Name)
		t.Add("Brokers:", m.brokers())
		t.Add("Properties:", fmt.Sprint(len(m.Properties)))
		t.Add("Subscriptions:", fmt.Sprint(len(m.Subscriptions)))
		t.Add("Created at:", r.time.Show(m.CreatedAt))
		for _, n := range m.Info {
			t.Add("Notice:", strings.TrimSpace(n.Code+" "+visible(n.Message)))
		}
		r.section("Kafka Cluster")
		r.printf("%s\n", t.Draw(grid.Compact))
		r.section("Properties")
		r.printf("%s", keyValues(m.Properties).Draw(r.style))
		if len(m.Subscriptions) > 0 {
			r.printf("\n")
			r.section("Subscriptions")
			t := grid.Table{Header: []string{"ID", "SOURCE", "SINK"}}
			for _, s := range m.Subscriptions {
				t.Add(s.ID, visible(s.Source), visible(s.Sink))
			}
			r.printf("%s", t.Draw(r.style))
		}
		return nil
	})
}

func (r *runner) clusterPatch(c *cli.Context) error {
	name, err := argument(c, "NAME")
	if err != nil {
		return err
	}
	set, err := pairs(c.StringSlice("set"))
	if err != nil {
		return err
	}
	unset := c.StringSlice("unset")
	if len(set) == 0 && len(unset) == 0 && !c.IsSet("from-file") {
		return errors.New("no changes requested: pass --set KEY=VALUE, --unset KEY, or --from-file FILE")
	}
	if err := r.connect(c); err != nil {
		return err
	}
	old, err := r.cluster(c.Context, name, false)
	if err != nil {
		return err
	}
	now := maps.Clone(old.Properties)
	if c.IsSet("from-file") {
		if _, now, err = r.readProperties(c.String("from-file"), "properties"); err != nil {
			return err
		}
	}
	if now == nil {
		now = map[string]string{}
	}
	maps.Copy(now, set)
	for _, key := range unset {
		delete(now, key)
	}
	return r.changeCluster(c.Context, name, old.Properties, now)
}

// changeCluster replaces all properties of a Kafka cluster, which is the only change that there is.
func (r *runner) changeCluster(ctx context.Context, name string, old, now map[string]string) error {
	if err := refuseRedacted(now); err != nil {
		return err
	}
	changed := changedProperties(old, now)
	if len(changed.Rows) == 0 {
		r.printf("No changes requested\n")
		return nil
	}
	r.printf("%s", changed.Draw(r.style))
	if err := r.confirm("Apply these changes to Kafka cluster " + name + "?"); err != nil {
		return err
	}
	if err := r.client.call(ctx, http.MethodPatch, clusterPath(name), clusterRequest{Properties: now}, nil); err != nil {
		return err
	}
	r.ok("Kafka cluster %s updated", name)
	return nil
}

func (r *runner) clusterEdit(c *cli.Context) error {
	name, err := argument(c, "NAME")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	old, err := r.cluster(c.Context, name, false)
	if err != nil {
		return err
	}
	now, err := r.editProperties(c.Context, "kafka-cluster.properties", "Properties of the Kafka cluster '"+name+"', as key=value of librdkafka.\n"+
		"The server does not tell secrets: write them in place of "+redacted+".\n", old.Properties)
	if err != nil {
		return err
	}
	return r.changeCluster(c.Context, name, old.Properties, now)
}

func (r *runner) clusterDelete(c *cli.Context) error {
	name, err := argument(c, "NAME")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	m, err := r.cluster(c.Context, name, true)
	if err != nil {
		return err
	}
	t := grid.Table{}
	t.Add("Name:", m.Name)
	t.Add("Subscriptions:", fmt.Sprint(len(m.Subscriptions)))
	r.printf("%s", t.Draw(grid.Compact))
	if len(m.Subscriptions) > 0 && !c.Bool("force") {
		return hint(fmt.Errorf("%d subscriptions use Kafka cluster %s", len(m.Subscriptions), name),
			"'reprise subscriptions delete <ID>' removes them; use --force to remove the cluster all the same, which stops them.")
	}
	if err := r.confirm("Are you sure you want to delete Kafka cluster " + name + "?"); err != nil {
		return err
	}
	path := clusterPath(name)
	if c.Bool("force") {
		path += "?force=true"
	}
	if err := r.client.call(c.Context, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	r.ok("Kafka cluster %s deleted", name)
	return nil
}

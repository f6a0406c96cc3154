package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/grid"
)

func (r *runner) services() *cli.Command {
	return &cli.Command{
		Name: "services", Aliases: []string{"svc"}, Usage: "look at services and change their settings",
		Subcommands: []*cli.Command{
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the active revision of each service",
				Flags: append(watchFlags(), jsonFlag(),
					&cli.BoolFlag{Name: "public-only", Usage: "leave private services out"},
					&cli.BoolFlag{Name: "extra", Usage: "show handlers and deployment address, too"},
				),
				Action: r.servicesList,
			},
			{
				Name: "describe", Aliases: []string{"get"}, Usage: "show a service, its handlers and older revisions", ArgsUsage: "<NAME>",
				Flags:  append(watchFlags(), jsonFlag()),
				Action: r.servicesDescribe,
			},
			r.servicesStatus(),
			r.servicesConfig(),
		},
	}
}

func (r *runner) servicesList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, "/services")
		}
		return r.showServices(c.Context, c.Bool("public-only"), c.Bool("extra"))
	})
}

func (r *runner) showServices(ctx context.Context, publicOnly, extra bool) error {
	var services servicesModel
	if err := r.client.get(ctx, "/services", &services); err != nil {
		return err
	}
	if len(services.Services) == 0 {
		r.note("No services were found! Services are added by registering deployments with 'reprise deployments register'")
		return nil
	}
	var deployments deploymentsModel
	if err := r.client.get(ctx, "/deployments", &deployments); err != nil {
		return err
	}
	byID := map[string]deploymentModel{}
	for _, d := range deployments.Deployments {
		byID[d.ID] = d
	}
	t := grid.Table{Header: []string{"", "NAME", "REVISION", "FLAVOR", "DEPLOYMENT-TYPE", "DEPLOYMENT-ID"}}
	if extra {
		t.Header = append(t.Header, "ENDPOINT", "METHODS")
	}
	for _, s := range sorted(services.Services) {
		if publicOnly && !s.Public {
			continue
		}
		d := byID[s.Deployment]
		row := []string{visibility(s.Public), s.Name, fmt.Sprint(s.Revision), s.flavor(), d.kind(), s.Deployment}
		if extra {
			row = append(row, d.address(), s.handlerNames())
		}
		t.Add(row...)
	}
	r.printf("%s", t.Draw(r.style))
	return nil
}

func (r *runner) servicesDescribe(c *cli.Context) error {
	name, err := argument(c, "NAME")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, "/services/"+escape(name))
		}
		return r.showService(c.Context, name)
	})
}

// service returns the active revision of a service.
func (r *runner) service(ctx context.Context, name string) (s serviceModel, err error) {
	err = r.client.get(ctx, "/services/"+escape(name), &s)
	return s, hint(err, "'reprise services list' shows the services.")
}

func (r *runner) showService(ctx context.Context, name string) error {
	s, err := r.service(ctx, name)
	if err != nil {
		return err
	}
	var d deploymentModel
	if err := r.client.get(ctx, "/deployments/"+escape(s.Deployment), &d); err != nil {
		return err
	}
	var all deploymentsModel
	if err := r.client.get(ctx, "/deployments", &all); err != nil {
		return err
	}
	t := grid.Table{}
	t.Add("Name:", s.Name)
	t.Add("Service type:", s.Ty)
	t.Add("Revision:", fmt.Sprint(s.Revision))
	t.Add("Public:", fmt.Sprint(s.Public))
	if s.Doc != "" {
		t.Add("Documentation:", visible(s.Doc))
	}
	r.addMetadata(&t, s.Metadata)
	for _, n := range s.Info {
		t.Add("Notice:", strings.TrimSpace(n.Code+" "+visible(n.Message)))
	}
	t.Add("Deployment ID:", d.ID)
	r.addDeployment(&t, d)
	r.section("Service Information")
	r.printf("%s\n", t.Draw(grid.Compact))
	r.section("Handlers")
	r.printf("%s", r.handlersInFull(s))
	r.olderRevisions(ctx, s, all.Deployments)
	return nil
}

// handlersInFull is handlers with what is special about some.
func (r *runner) handlersInFull(s serviceModel) string {
	t := grid.Table{Header: []string{"HANDLER", "TYPE", "INPUT", "OUTPUT", "DOCUMENTATION"}}
	for _, h := range s.Handlers {
		name := h.Name
		if !h.Public && s.Public {
			name += " " + visibility(h.Public)
		}
		t.Add(name, h.Ty, h.Input, h.Output, visible(h.Doc))
	}
	return t.Draw(r.style)
}

// olderRevisions shows where else a service is, and what still runs there.
func (r *runner) olderRevisions(ctx context.Context, s serviceModel, all []deploymentModel) {
	t := grid.Table{Header: []string{"ADDRESS", "TYPE", "SERVICE-REVISION", "ACTIVE-INVOCATIONS", "DEPLOYMENT-ID"}}
	for _, d := range all {
		for _, other := range d.Services {
			if other.Name != s.Name || d.ID == s.Deployment {
				continue
			}
			active := "unknown"
			if n, err := r.pinned(ctx, d.ID); err == nil {
				active = fmt.Sprint(n)
			} else {
				r.warn(err.Error())
			}
			t.Add(d.address(), d.kind(), fmt.Sprint(other.Revision), active, d.ID)
		}
	}
	if len(t.Rows) > 0 {
		r.printf("\n")
		r.section("Older Revisions")
		r.printf("%s", t.Draw(r.style))
	}
}

// handlers is the table of a service's handlers.
func handlers(s serviceModel) string {
	t := grid.Table{Header: []string{"HANDLER", "INPUT", "OUTPUT"}}
	for _, h := range s.Handlers {
		t.Add(h.Name, h.Input, h.Output)
	}
	return t.Draw(grid.Compact)
}

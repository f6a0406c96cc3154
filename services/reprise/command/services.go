package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func (r *runner) services() *cli.Command {
	return &cli.Command{
		Name: "services", Aliases: []string{"svc"}, Usage: "look at services",
		Subcommands: []*cli.Command{
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the active revision of each service",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "public-only", Usage: "leave private services out"},
					&cli.BoolFlag{Name: "extra", Usage: "show handlers and deployment address, too"},
				},
				Action: r.servicesList,
			},
			{
				Name: "describe", Aliases: []string{"get"}, Usage: "show a service, its handlers and older revisions", ArgsUsage: "<NAME>",
				Action: r.servicesDescribe,
			},
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
	var services servicesModel
	if err := r.client.get(c.Context, "/services", &services); err != nil {
		return err
	}
	if len(services.Services) == 0 {
		r.note("No services were found! Services are added by registering deployments with 'reprise deployments register'")
		return nil
	}
	var deployments deploymentsModel
	if err := r.client.get(c.Context, "/deployments", &deployments); err != nil {
		return err
	}
	byID := map[string]deploymentModel{}
	for _, d := range deployments.Deployments {
		byID[d.ID] = d
	}
	slices.SortFunc(services.Services, func(a, b serviceModel) int { return strings.Compare(a.Name, b.Name) })
	t := table{header: []string{"", "NAME", "REVISION", "FLAVOR", "DEPLOYMENT-TYPE", "DEPLOYMENT-ID"}}
	if c.Bool("extra") {
		t.header = append(t.header, "DEPLOYMENT", "HANDLERS")
	}
	for _, s := range services.Services {
		if c.Bool("public-only") && !s.Public {
			continue
		}
		d := byID[s.Deployment]
		row := []string{visibility(s.Public), s.Name, fmt.Sprint(s.Revision), s.flavor(), d.kind(), s.Deployment}
		if c.Bool("extra") {
			row = append(row, d.address(), s.handlerNames())
		}
		t.add(row...)
	}
	r.printf("%s", t.draw(r.style))
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
	var s serviceModel
	if err := r.client.get(c.Context, "/services/"+escape(name), &s); err != nil {
		return err
	}
	var d deploymentModel
	if err := r.client.get(c.Context, "/deployments/"+escape(s.Deployment), &d); err != nil {
		return err
	}
	var all deploymentsModel
	if err := r.client.get(c.Context, "/deployments", &all); err != nil {
		return err
	}
	t := table{}
	t.add("Name:", s.Name)
	t.add("Flavor:", s.Ty)
	t.add("Visibility:", strings.Trim(visibility(s.Public), "[]"))
	t.add("Revision:", fmt.Sprint(s.Revision))
	if s.Doc != "" {
		t.add("Documentation:", s.Doc)
	}
	r.addMetadata(&t, s.Metadata)
	t.add("Deployment ID:", d.ID)
	r.addDeployment(&t, d)
	r.printf("Service Information:\n%s\nHandlers:\n%s", t.draw(compact), r.handlers(s))
	r.olderRevisions(s, all.Deployments)
	return nil
}

func (r *runner) olderRevisions(s serviceModel, all []deploymentModel) {
	t := table{header: []string{"ADDRESS", "TYPE", "REVISION", "DEPLOYMENT-ID", "CREATED-AT"}}
	for _, d := range all {
		for _, other := range d.Services {
			if other.Name == s.Name && d.ID != s.Deployment {
				t.add(d.address(), d.kind(), fmt.Sprint(other.Revision), d.ID, r.time.show(d.CreatedAt))
			}
		}
	}
	if len(t.rows) > 0 {
		r.printf("\nOlder Revisions:\n%s", t.draw(r.style))
	}
}

// handlers is the table of a service's handlers.
func (r *runner) handlers(s serviceModel) string {
	t := table{header: []string{"HANDLER", "TYPE", "INPUT", "OUTPUT"}}
	for _, h := range s.Handlers {
		name := h.Name
		if !h.Public && s.Public {
			name += " " + visibility(h.Public)
		}
		t.add(name, h.Ty, h.Input, h.Output)
	}
	return t.draw(r.style)
}

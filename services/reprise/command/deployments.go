package command

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func (r *runner) deployments() *cli.Command {
	return &cli.Command{
		Name: "deployments", Aliases: []string{"dp"}, Usage: "register, look at and remove deployments",
		Subcommands: []*cli.Command{
			{
				Name: "list", Aliases: []string{"ls"}, Usage: "list the deployments",
				Flags:  append(watchFlags(), jsonFlag(), &cli.BoolFlag{Name: "extra", Usage: "show status and number of active invocations, too"}),
				Action: r.deploymentsList,
			},
			{
				Name: "register", Aliases: []string{"discover", "add"}, ArgsUsage: "<URL or ARN>",
				Usage:  "discover the services of an endpoint and register them",
				Flags:  registerFlags(),
				Action: r.deploymentsRegister,
			},
			{
				Name: "describe", Aliases: []string{"get"}, Usage: "show a deployment with its services", ArgsUsage: "<ID>",
				Flags:  append(watchFlags(), jsonFlag(), &cli.BoolFlag{Name: "extra", Usage: "show status and number of active invocations, too"}),
				Action: r.deploymentsDescribe,
			},
			{
				Name: "remove", Aliases: []string{"rm"}, Usage: "remove a deployment that is not in use", ArgsUsage: "<ID>",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "force", Usage: "also when it is in use"}},
				Action: r.deploymentsRemove,
			},
		},
	}
}

// latest maps each service to its active revision.
func (r *runner) latest(ctx context.Context) (map[string]serviceModel, error) {
	var all servicesModel
	if err := r.client.get(ctx, "/services", &all); err != nil {
		return nil, err
	}
	out := map[string]serviceModel{}
	for _, s := range all.Services {
		out[s.Name] = s
	}
	return out, nil
}

// active tells whether the deployment holds the latest revision of a service.
func (d deploymentModel) active(latest map[string]serviceModel) bool {
	return slices.ContainsFunc(d.Services, func(s serviceModel) bool { return latest[s.Name].Deployment == d.ID })
}

// status is the word for it; invocations are those that are pinned and not completed.
func (d deploymentModel) status(latest map[string]serviceModel, invocations int64) string {
	switch {
	case d.active(latest):
		return "Active"
	case invocations > 0:
		return "Draining"
	default:
		return "Drained"
	}
}

// pinned counts what is pinned to a deployment and not completed.
func (r *runner) pinned(ctx context.Context, deployment string) (int64, error) {
	n, err := r.client.count(ctx, "SELECT COUNT(1) AS n FROM sys_invocation_status WHERE pinned_deployment_id = "+quote(deployment)+" AND status != 'completed'")
	if err != nil {
		return 0, fmt.Errorf("counting invocations of %s: %w", deployment, err)
	}
	return n, nil
}

func (r *runner) deploymentsList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, "/deployments")
		}
		return r.showDeployments(c.Context, c.Bool("extra"))
	})
}

func (r *runner) showDeployments(ctx context.Context, extra bool) error {
	latest, err := r.latest(ctx)
	if err != nil {
		return err
	}
	var all deploymentsModel
	if err := r.client.get(ctx, "/deployments", &all); err != nil {
		return err
	}
	if len(all.Deployments) == 0 {
		r.note("No deployments were found! Did you forget to register your deployment with 'reprise deployments register'?")
		return nil
	}
	t := table{header: []string{"DEPLOYMENT", "TYPE", "ID", "CREATED-AT", "SERVICES"}}
	if extra {
		t.header = []string{"DEPLOYMENT", "TYPE", "STATUS", "ACTIVE-INVOCATIONS", "ID", "CREATED-AT", "SERVICES"}
	}
	slices.SortStableFunc(all.Deployments, func(a, b deploymentModel) int { return strings.Compare(b.CreatedAt, a.CreatedAt) })
	for _, d := range all.Deployments {
		row := []string{d.address(), d.kind()}
		if extra {
			n, err := r.pinned(ctx, d.ID)
			if err != nil {
				return err
			}
			row = append(row, d.status(latest, n), fmt.Sprint(n))
		}
		t.add(append(row, d.ID, r.time.show(d.CreatedAt), d.serviceLines())...)
	}
	r.printf("%s", t.draw(r.style))
	return nil
}

// serviceLines is the cell SERVICES: one line for each.
func (d deploymentModel) serviceLines() string {
	lines := make([]string, len(d.Services))
	for i, s := range d.Services {
		lines[i] = fmt.Sprintf("- %s [%d]", s.Name, s.Revision)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (r *runner) deploymentsDescribe(c *cli.Context) error {
	which, err := argument(c, "ID")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	return r.watch(c, func() error {
		if c.Bool("json") {
			return r.printAnswer(c.Context, "/deployments/"+escape(which))
		}
		return r.showDeployment(c.Context, which, c.Bool("extra"))
	})
}

func (r *runner) showDeployment(ctx context.Context, which string, extra bool) error {
	latest, err := r.latest(ctx)
	if err != nil {
		return err
	}
	var d deploymentModel
	if err := r.client.get(ctx, "/deployments/"+escape(which), &d); err != nil {
		return err
	}
	t := table{}
	t.add("ID:", d.ID)
	r.addDeployment(&t, d)
	if extra {
		n, err := r.pinned(ctx, d.ID)
		if err != nil {
			return err
		}
		t.add("Status:", d.status(latest, n))
		t.add("Invocations:", fmt.Sprint(n))
	}
	for _, h := range slices.Sorted(maps.Keys(d.Headers)) {
		t.add("Header:", h+": "+d.Headers[h])
	}
	r.addMetadata(&t, d.Metadata)
	r.printf("Deployment Information:\n%s\nServices:\n", t.draw(compact))
	slices.SortFunc(d.Services, func(a, b serviceModel) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range d.Services {
		mark := ""
		if now := latest[s.Name]; now.Deployment == d.ID {
			mark = " [Latest]"
		} else if now.Name != "" {
			mark = fmt.Sprintf(" [Latest is revision %d in %s]", now.Revision, now.Deployment)
		}
		r.printf(" - %s\n   Type: %s\n   Revision: %d%s\n", s.Name, s.Ty, s.Revision, mark)
		for _, n := range s.Info {
			r.printf("   Notice: %s\n", strings.TrimSpace(n.Code+" "+n.Message))
		}
		r.printf("%s", indent(r.handlers(s), "   "))
	}
	return nil
}

// addDeployment adds what list, describe and a service's description say of a deployment.
func (r *runner) addDeployment(t *table, d deploymentModel) {
	t.add("Deployment Type:", d.kind())
	if d.Protocol != "" {
		t.add("Protocol Style:", map[string]string{"BidiStream": "Streaming", "RequestResponse": "Request/Response"}[d.Protocol])
	}
	t.add("Endpoint:", d.address())
	if d.HTTPVersion != "" {
		t.add("Http Version:", d.HTTPVersion)
	}
	t.add("Created at:", r.time.show(d.CreatedAt))
	t.add("Protocol:", fmt.Sprintf("%d to %d", d.MinProtocol, d.MaxProtocol))
	if d.SDK != "" {
		t.add("Server:", d.SDK)
	}
}

func (*runner) addMetadata(t *table, m map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		t.add("Metadata:", name+": "+m[name])
	}
}

func (r *runner) deploymentsRemove(c *cli.Context) error {
	which, err := argument(c, "ID")
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	var d deploymentModel
	if err := r.client.get(c.Context, "/deployments/"+escape(which), &d); err != nil {
		return err
	}
	latest, err := r.latest(c.Context)
	if err != nil {
		return err
	}
	r.printf(" %s (%s)\n%s\n", d.ID, d.address(), indent(d.serviceLines(), "  "))
	if !c.Bool("force") {
		if d.active(latest) {
			return fmt.Errorf("deployment %s is Active: it holds the latest revision of a service; use --force to remove it all the same", d.ID)
		}
		n, err := r.pinned(c.Context, d.ID)
		if err != nil {
			return fmt.Errorf("%w\n\nUse --force to remove it without knowing", err)
		}
		if n > 0 {
			return fmt.Errorf("deployment %s is Draining: %d invocations are pinned to it; use --force to remove it all the same", d.ID, n)
		}
	}
	if err := r.confirm("Are you sure you want to remove this deployment?"); err != nil {
		return err
	}
	if err := r.client.call(c.Context, http.MethodDelete, "/deployments/"+escape(d.ID)+"?force=true", nil, nil); err != nil {
		return err
	}
	r.printf("[OK]: Deployment %s removed\n", d.ID)
	return nil
}

func indent(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(by + line)
	}
	return b.String()
}

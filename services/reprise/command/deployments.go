package command

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/grid"
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
	t := grid.Table{Header: []string{"DEPLOYMENT", "TYPE", "ID", "CREATED-AT", "SERVICES"}}
	if extra {
		t.Header = []string{"DEPLOYMENT", "TYPE", "STATUS", "ACTIVE-INVOCATIONS", "ID", "CREATED-AT", "SERVICES"}
	}
	slices.SortStableFunc(all.Deployments, func(a, b deploymentModel) int { return strings.Compare(b.CreatedAt, a.CreatedAt) })
	for _, d := range all.Deployments {
		row := []string{d.address(), d.kind()}
		if extra {
			n, err := r.pinned(ctx, d.ID)
			if err != nil {
				return err
			}
			row = append(row, r.paintStatus(d.status(latest, n)), fmt.Sprint(n))
		}
		t.Add(append(row, d.ID, r.time.Show(d.CreatedAt), d.serviceLines())...)
	}
	r.printf("%s", t.Draw(r.style))
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
	d, latest, err := r.deployment(ctx, which)
	if err != nil {
		return err
	}
	t := grid.Table{}
	t.Add("ID:", d.ID)
	r.addDeployment(&t, d)
	var active map[[2]string]int64
	if extra {
		if active, err = r.pinnedByHandler(ctx, d.ID); err != nil {
			return err
		}
		n := int64(0)
		for _, m := range active {
			n += m
		}
		t.Add("Status:", r.paintStatus(d.status(latest, n)))
		t.Add("Invocations:", fmt.Sprint(n))
	}
	r.section("Deployment Information")
	r.printf("%s\n", t.Draw(grid.Compact))
	r.section("Services")
	for _, s := range sorted(d.Services) {
		r.printf("%s", s.lines(latest, d.ID))
		for _, n := range s.Info {
			r.printf("    Notice: %s\n", strings.TrimSpace(n.Code+" "+visible(n.Message)))
		}
		if extra {
			r.printf("%s\n", indent(handlerCounts(s, active), "    "))
		} else {
			r.printf("%s\n", indent(handlers(s), "    "))
		}
	}
	return nil
}

// deployment returns a deployment and the active revision of each service.
func (r *runner) deployment(ctx context.Context, which string) (d deploymentModel, latest map[string]serviceModel, err error) {
	if err := r.client.get(ctx, "/deployments/"+escape(which), &d); err != nil {
		return d, nil, hint(err, "'reprise deployments list' shows the deployments.")
	}
	latest, err = r.latest(ctx)
	return d, latest, err
}

// lines name a service, its type and revision, and where its latest revision is.
func (s serviceModel) lines(latest map[string]serviceModel, deployment string) string {
	mark := ""
	if now := latest[s.Name]; now.Deployment == deployment {
		mark = " [Latest]"
	} else if now.Name != "" {
		mark = fmt.Sprintf(" [Latest is revision %d in %s]", now.Revision, now.Deployment)
	}
	return fmt.Sprintf("  - %s\n    Type: %s %s\n    Revision: %d%s\n", s.Name, s.Ty, s.flavor(), s.Revision, mark)
}

// handlerCounts is handlers with what runs in each.
func handlerCounts(s serviceModel, active map[[2]string]int64) string {
	t := grid.Table{Header: []string{"HANDLER", "INPUT", "OUTPUT", "ACTIVE-INVOCATIONS"}}
	for _, h := range s.Handlers {
		t.Add(h.Name, h.Input, h.Output, fmt.Sprint(active[[2]string{s.Name, h.Name}]))
	}
	return t.Draw(grid.Compact)
}

// pinnedByHandler counts what is pinned to a deployment and not completed, by service and handler.
func (r *runner) pinnedByHandler(ctx context.Context, deployment string) (map[[2]string]int64, error) {
	var rows []struct {
		Service string `json:"service"`
		Handler string `json:"handler"`
		N       int64  `json:"n"`
	}
	err := r.client.query(ctx, "SELECT target_service_name AS service, target_handler_name AS handler, COUNT(1) AS n FROM sys_invocation_status WHERE pinned_deployment_id = "+
		quote(deployment)+" AND status != 'completed' GROUP BY target_service_name, target_handler_name", &rows)
	if err != nil {
		return nil, fmt.Errorf("counting invocations of %s: %w", deployment, err)
	}
	out := map[[2]string]int64{}
	for _, row := range rows {
		out[[2]string{row.Service, row.Handler}] = row.N
	}
	return out, nil
}

func (r *runner) paintStatus(status string) string {
	return r.paint(map[string]colour{"Active": green, "Draining": yellow, "Drained": dim}[status], status)
}

// addDeployment adds what describe says of a deployment, its own or that of a service.
func (r *runner) addDeployment(t *grid.Table, d deploymentModel) {
	if d.ARN != "" {
		t.Add("Transport:", "AWS Lambda")
	} else {
		t.Add("Transport:", d.HTTPVersion)
		t.Add("Protocol Style:", map[string]string{"BidiStream": "Bidirectional Stream", "RequestResponse": "Request/Response"}[d.Protocol])
	}
	t.Add("Endpoint:", d.address())
	if d.Role != "" {
		t.Add("Assumed role:", d.Role)
	}
	if d.SDK != "" {
		t.Add("SDK Version:", visible(d.SDK))
	}
	t.Add("Created at:", r.time.Show(d.CreatedAt))
	for _, h := range slices.Sorted(maps.Keys(d.Headers)) {
		t.Add("Deployment Additional Header:", visible(h+": "+d.Headers[h]))
	}
	t.Add("Protocol:", fmt.Sprintf("[%d, %d]", d.MinProtocol, d.MaxProtocol))
	r.addMetadata(t, d.Metadata)
	for _, n := range d.Info {
		t.Add("Notice:", strings.TrimSpace(n.Code+" "+visible(n.Message)))
	}
}

func (*runner) addMetadata(t *grid.Table, m map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		t.Add(visible(name)+":", visible(m[name]))
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
	d, latest, err := r.deployment(c.Context, which)
	if err != nil {
		return err
	}
	n, err := r.pinned(c.Context, d.ID)
	if err != nil && !c.Bool("force") {
		return hint(err, "Use --force to remove it without knowing.")
	}
	t := grid.Table{}
	t.Add("ID:", d.ID)
	r.addDeployment(&t, d)
	t.Add("Status:", r.paintStatus(d.status(latest, n)))
	t.Add("Invocations:", fmt.Sprint(n))
	r.printf("%sServices:\n", t.Draw(grid.Compact))
	for _, s := range sorted(d.Services) {
		r.printf("%s", s.lines(latest, d.ID))
	}
	r.printf("\n")
	switch {
	case c.Bool("force"):
	case d.active(latest):
		return hint(fmt.Errorf("deployment %s is Active: it holds the latest revision of a service, which would be gone", d.ID),
			"If you accept the risk of breaking invocations, use --force to remove it all the same.")
	case n > 0:
		return hint(fmt.Errorf("deployment %s is Draining: %d invocations are pinned to it", d.ID, n),
			"'reprise invocations list --deployment %s' shows them; use --force to remove it all the same, which breaks them.", d.ID)
	default:
		r.ok("The deployment is fully drained and is safe to remove")
	}
	if err := r.confirm("Are you sure you want to remove this deployment?"); err != nil {
		return err
	}
	if err := r.client.call(c.Context, http.MethodDelete, "/deployments/"+escape(d.ID)+"?force=true", nil, nil); err != nil {
		return err
	}
	r.printf("\n")
	r.ok("Deployment %s removed successfully", d.ID)
	return nil
}

func indent(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(by + line)
	}
	return b.String()
}

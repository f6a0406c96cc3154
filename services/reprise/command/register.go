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

func registerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "breaking", Usage: "allow a service to change its type"},
		&cli.BoolFlag{Name: "force", Usage: "replace the deployment that is registered at this address"},
		&cli.StringFlag{Name: "assume-role-arn", Usage: "`ARN` of the role to take for a Lambda function"},
		&cli.BoolFlag{Name: "gcp-id-token", Usage: "send an identity token of Google with every request; the next two flags imply it"},
		&cli.StringFlag{Name: "gcp-impersonate-service-account", Usage: "`EMAIL` of the service account that the token is for"},
		&cli.StringFlag{Name: "gcp-audience", Usage: "`AUDIENCE` of the token instead of the URL's origin"},
		&cli.StringSliceFlag{Name: "extra-header", Usage: "`NAME=VALUE` of a header for every request to the deployment"},
		&cli.StringSliceFlag{Name: "metadata", Usage: "`NAME=VALUE` to keep with the deployment"},
		&cli.BoolFlag{Name: "use-http1.1", Usage: "talk HTTP/1.1 to the deployment"},
		&cli.StringFlag{Name: "tunnel-name", Usage: "`NAME` of a tunnel of the hosted service; refused, as there are none here"},
	}
}

// registration is the body of POST /deployments.
type registration struct {
	URI      string            `json:"uri,omitempty"`
	ARN      string            `json:"arn,omitempty"`
	Role     string            `json:"assume_role_arn,omitempty"`
	Headers  map[string]string `json:"additional_headers,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	HTTP1    bool              `json:"use_http_11,omitempty"`
	Auth     *registrationAuth `json:"auth,omitempty"`
	Breaking bool              `json:"breaking"`
	Force    bool              `json:"force"`
	DryRun   bool              `json:"dry_run"`
}

// registrationAuth says how the server proves to the deployment who it is.
type registrationAuth struct {
	Google *googleToken `json:"GoogleIdToken"`
}

type googleToken struct {
	Account  string `json:"impersonate_service_account,omitempty"`
	Audience string `json:"audience,omitempty"`
}

func newRegistration(c *cli.Context) (registration, error) {
	target, err := argument(c, "URL or ARN")
	if err != nil {
		return registration{}, err
	}
	q := registration{Breaking: c.Bool("breaking"), Force: c.Bool("force"), HTTP1: c.Bool("use-http1.1")}
	if q.Headers, err = assignments(c.StringSlice("extra-header")); err != nil {
		return registration{}, err
	}
	if q.Metadata, err = assignments(c.StringSlice("metadata")); err != nil {
		return registration{}, err
	}
	if c.IsSet("tunnel-name") {
		return registration{}, argv.Usagef("--tunnel-name is for the hosted service, which this program does not know")
	}
	if c.Bool("gcp-id-token") || c.IsSet("gcp-impersonate-service-account") || c.IsSet("gcp-audience") {
		q.Auth = &registrationAuth{&googleToken{c.String("gcp-impersonate-service-account"), c.String("gcp-audience")}}
	}
	if strings.HasPrefix(target, "arn:") {
		if q.HTTP1 || q.Auth != nil {
			return registration{}, argv.Usagef("--use-http1.1 and --gcp-... are for HTTP deployments, not for %s", target)
		}
		q.ARN, q.Role = target, c.String("assume-role-arn")
		return q, nil
	}
	if c.IsSet("assume-role-arn") {
		return registration{}, argv.Usagef("--assume-role-arn is for Lambda deployments, not for %s", target)
	}
	q.URI, err = deploymentURL(target)
	return q, err
}

func (q registration) address() string { return q.URI + q.ARN }

// deploymentURL completes what users type: 9080, :9080, localhost:9080.
func deploymentURL(target string) (string, error) {
	if !strings.Contains(target, "://") {
		if rest := strings.TrimPrefix(target, ":"); strings.Trim(rest, "0123456789") == "" {
			target = "localhost:" + rest
		}
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return "", argv.Usagef("invalid value '%s' for '<URL or ARN>'", target)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

func assignments(list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, a := range list {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, argv.Usagef("invalid value '%s': expected NAME=VALUE", a)
		}
		m[name] = value
	}
	return m, nil
}

func (r *runner) deploymentsRegister(c *cli.Context) error {
	q, err := newRegistration(c)
	if err != nil {
		return err
	}
	if err := r.connect(c); err != nil {
		return err
	}
	found, known, err := r.discover(c.Context, q)
	if err != nil {
		return err
	}
	if known && !q.Force {
		r.printf("❯ Deployment already exists with id %s\n       No changes will be made.\n\n", found.ID)
		r.printf("❯ To overwrite this deployment during development, use:\n    reprise deployments register %s --force\n", q.address())
		return nil
	}
	if err := r.showChanges(c.Context, found, known); err != nil {
		return err
	}
	if err := r.confirm("Are you sure you want to apply those changes?"); err != nil {
		return err
	}
	q.DryRun = false
	if err := r.client.call(c.Context, http.MethodPost, "/deployments", q, &found); err != nil {
		return err
	}
	r.ok("DEPLOYMENT:\nDeployment ID:  %s", found.ID)
	t := grid.Table{Header: []string{"SERVICE", "REV"}}
	for _, s := range sorted(found.Services) {
		t.Add(s.Name, fmt.Sprint(s.Revision))
	}
	r.printf("%s", t.Draw(r.style))
	return nil
}

// discover is a dry run: what would be registered, and whether a deployment is registered there.
func (r *runner) discover(ctx context.Context, q registration) (found deploymentModel, known bool, err error) {
	q.DryRun = true
	status, err := r.client.send(ctx, http.MethodPost, "/deployments", q, &found)
	var refused *serverError
	switch {
	case !errors.As(err, &refused):
		return found, status == http.StatusOK, err
	case refused.code == "META0006":
		r.printf("❯ Breaking changes detected:\n    %s %s\n\n", refused.code, refused.message)
		r.printf("❯ To register a deployment containing breaking changes for a service, use:\n    reprise deployments register %s --breaking\n", q.address())
		return found, false, errors.New("registration failed")
	case refused.code == "META0003":
		err = hint(err, "The server must reach the deployment at %s: is it running, and does it listen there?", q.address())
	}
	return found, false, err
}

// showChanges says what the registration adds, updates and removes.
func (r *runner) showChanges(ctx context.Context, found deploymentModel, known bool) error {
	old := deploymentModel{}
	if known {
		r.warn(fmt.Sprintf("This deployment is already known to the server under the ID %q. Confirming this operation overwrites its services: "+
			"invocations that run on it must be able to go on with the new code. In production, register the new code at an address of its own.", found.ID))
		if err := r.client.get(ctx, "/deployments/"+escape(found.ID), &old); err != nil {
			return err
		}
	}
	var added, updated, removed strings.Builder
	for _, s := range sorted(found.Services) {
		var now serviceModel
		err := r.client.get(ctx, "/services/"+escape(s.Name), &now)
		var unknown *serverError
		switch {
		case err == nil:
			text, err := r.update(ctx, now, s, found.ID)
			if err != nil {
				return err
			}
			updated.WriteString(text)
		case errors.As(err, &unknown) && unknown.status == http.StatusNotFound:
			fmt.Fprintf(&added, "  - %s\n    Type: %s %s\n%s\n", s.Name, s.Ty, s.flavor(), indent(handlers(s), "    "))
		default:
			return err
		}
	}
	for _, s := range sorted(old.Services) {
		if !slices.ContainsFunc(found.Services, func(f serviceModel) bool { return f.Name == s.Name }) {
			fmt.Fprintf(&removed, "    - %s\n", s.Name)
		}
	}
	for _, part := range []struct {
		title string
		text  *strings.Builder
		mark  colour
	}{{"ADDED", &added, green}, {"UPDATED", &updated, yellow}, {"REMOVED", &removed, red}} {
		if part.text.Len() > 0 {
			r.printf("\n❯ SERVICES THAT WILL BE %s:\n%s\n", r.paint(part.mark, part.title), part.text)
		}
	}
	return nil
}

// update is the difference between the active revision of a service and its next one, which deployment will hold.
func (r *runner) update(ctx context.Context, now, next serviceModel, deployment string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "  - %s\n    Type: %s %s\n", next.Name, next.Ty, next.flavor())
	if now.Ty != next.Ty {
		fmt.Fprintf(&b, "    Old Type: %s\n", now.Ty)
	}
	fmt.Fprintf(&b, "    Revision: %d -> %d\n", now.Revision, next.Revision)
	if now.Public != next.Public {
		fmt.Fprintf(&b, "    Visibility: %s -> %s\n", visibility(now.Public), visibility(next.Public))
	}
	if now.Deployment != deployment {
		var d deploymentModel
		if err := r.client.get(ctx, "/deployments/"+escape(now.Deployment), &d); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "    Old Deployment: %s (at %s)\n", d.address(), d.ID)
	}
	named := func(name string) func(handlerModel) bool {
		return func(h handlerModel) bool { return h.Name == name }
	}
	t := grid.Table{Header: []string{" ", "HANDLER", "INPUT", "OUTPUT"}}
	for _, h := range next.Handlers {
		mark := ""
		if !slices.ContainsFunc(now.Handlers, named(h.Name)) {
			mark = r.paint(green, "++")
		}
		t.Add(mark, h.Name, h.Input, h.Output)
	}
	for _, h := range now.Handlers {
		if !slices.ContainsFunc(next.Handlers, named(h.Name)) {
			t.Add(r.paint(red, "--"), h.Name, h.Input, h.Output)
		}
	}
	return b.String() + indent(t.Draw(grid.Compact), "    ") + "\n", nil
}

func sorted(services []serviceModel) []serviceModel {
	slices.SortFunc(services, func(a, b serviceModel) int { return strings.Compare(a.Name, b.Name) })
	return services
}

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
)

func registerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "breaking", Usage: "allow a service to change its type"},
		&cli.BoolFlag{Name: "force", Usage: "replace the deployment that is registered at this address"},
		&cli.StringFlag{Name: "assume-role-arn", Usage: "`ARN` of the role to take for a Lambda function"},
		&cli.StringSliceFlag{Name: "extra-header", Usage: "`NAME=VALUE` of a header for every request to the deployment"},
		&cli.StringSliceFlag{Name: "metadata", Usage: "`NAME=VALUE` to keep with the deployment"},
		&cli.BoolFlag{Name: "use-http1.1", Usage: "talk HTTP/1.1 to the deployment"},
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
	Breaking bool              `json:"breaking"`
	Force    bool              `json:"force"`
	DryRun   bool              `json:"dry_run"`
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
	if strings.HasPrefix(target, "arn:") {
		if q.HTTP1 {
			return registration{}, argv.Usagef("--use-http1.1 is for HTTP deployments, not for %s", target)
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
	q.DryRun = true
	var found deploymentModel
	status, err := r.client.send(c.Context, http.MethodPost, "/deployments", q, &found)
	if err != nil {
		return err
	}
	address := q.URI + q.ARN
	known := status == http.StatusOK
	if known && !q.Force {
		r.printf("[OK]: Deployment %s already exists with id %s. No changes will be made; use --force to overwrite it.\n", address, found.ID)
		return nil
	}
	old := deploymentModel{}
	if known {
		r.warn(fmt.Sprintf("this will overwrite the existing deployment %s; what runs on it must be able to go on with the new code", found.ID))
		if err := r.client.get(c.Context, "/deployments/"+escape(found.ID), &old); err != nil {
			return err
		}
	}
	if err := r.showChanges(c.Context, address, found, old); err != nil {
		return err
	}
	if err := r.confirm("Are you sure you want to apply those changes?"); err != nil {
		return err
	}
	q.DryRun = false
	if _, err := r.client.send(c.Context, http.MethodPost, "/deployments", q, &found); err != nil {
		return err
	}
	r.printf("[OK]: DEPLOYMENT:\nDeployment ID:  %s\n", found.ID)
	t := table{header: []string{"SERVICE", "REV"}}
	for _, s := range sorted(found.Services) {
		t.add(s.Name, fmt.Sprint(s.Revision))
	}
	r.printf("%s", t.draw(r.style))
	return nil
}

// showChanges says what the registration adds, updates and removes.
func (r *runner) showChanges(ctx context.Context, address string, found, old deploymentModel) error {
	var added, updated, removed strings.Builder
	for _, s := range sorted(found.Services) {
		var now serviceModel
		err := r.client.get(ctx, "/services/"+escape(s.Name), &now)
		var unknown *serverError
		switch {
		case err == nil:
			updated.WriteString(changes(now, s))
		case errors.As(err, &unknown) && unknown.status == http.StatusNotFound:
			fmt.Fprintf(&added, " + %s\n   Type: %s\n%s", s.Name, s.Ty, indent(r.handlers(s), "   "))
		default:
			return err
		}
	}
	for _, s := range sorted(old.Services) {
		if !slices.ContainsFunc(found.Services, func(f serviceModel) bool { return f.Name == s.Name }) {
			fmt.Fprintf(&removed, " - %s\n", s.Name)
		}
	}
	r.printf("Deployment %s (%s)\n", address, found.ID)
	for _, part := range []struct {
		title string
		text  *strings.Builder
	}{{"ADDED SERVICES", &added}, {"UPDATED SERVICES", &updated}, {"REMOVED SERVICES", &removed}} {
		if part.text.Len() > 0 {
			r.printf("\n%s:\n%s", part.title, part.text)
		}
	}
	r.printf("\n")
	return nil
}

// changes is the difference between the active revision of a service and its next one.
func changes(now, next serviceModel) string {
	var b strings.Builder
	fmt.Fprintf(&b, " ~ %s\n   Revision: %d -> %d\n", next.Name, now.Revision, next.Revision)
	if now.Ty != next.Ty {
		fmt.Fprintf(&b, "   Type: %s -> %s\n", now.Ty, next.Ty)
	}
	if now.Public != next.Public {
		fmt.Fprintf(&b, "   Visibility: %s -> %s\n", visibility(now.Public), visibility(next.Public))
	}
	byName := func(name string) func(handlerModel) bool {
		return func(h handlerModel) bool { return h.Name == name }
	}
	for _, h := range next.Handlers {
		i := slices.IndexFunc(now.Handlers, byName(h.Name))
		switch {
		case i < 0:
			fmt.Fprintf(&b, "   + handler %s\n", h.Name)
		case now.Handlers[i] != h:
			fmt.Fprintf(&b, "   ~ handler %s\n", h.Name)
		}
	}
	for _, h := range now.Handlers {
		if !slices.ContainsFunc(next.Handlers, byName(h.Name)) {
			fmt.Fprintf(&b, "   - handler %s\n", h.Name)
		}
	}
	return b.String()
}

func sorted(services []serviceModel) []serviceModel {
	slices.SortFunc(services, func(a, b serviceModel) int { return strings.Compare(a.Name, b.Name) })
	return services
}

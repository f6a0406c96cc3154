package command

import (
	"net/http"
	"os"
	"runtime"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/grid"
)

func (r *runner) whoami() *cli.Command {
	return &cli.Command{
		Name: "whoami", Usage: "show this program, its configuration and whether the server answers",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if err := r.offline(c); err != nil {
				return err
			}
			t := grid.Table{}
			t.Add("Version:", version)
			t.Add("Built for:", runtime.GOOS+"/"+runtime.GOARCH+" by "+runtime.Version())
			t.Add("Environment:", r.settings.Environment+" (from "+r.settings.Source+")")
			t.Add("Configuration:", r.settings.File+exists(r.settings.File))
			t.Add("Variables:", ".env"+exists(".env"))
			t.Add("Admin URL:", r.settings.Admin)
			t.Add("Ingress URL:", r.settings.Ingress)
			r.printf("Reprise\n%s", t.Draw(grid.Compact))
			return r.serverState(c)
		},
	}
}

func exists(file string) string {
	if _, err := os.Stat(file); err != nil {
		return " (does not exist)"
	}
	return ""
}

func (r *runner) serverState(c *cli.Context) error {
	if err := r.connect(c); err != nil {
		return err
	}
	if err := r.client.call(c.Context, http.MethodGet, "/health", nil, nil); err != nil {
		return err
	}
	r.printf("\n[OK]: Admin Service '%s' is healthy!\n", r.client.name)
	if r.client.server.Ingress != nil {
		r.printf("      Advertised ingress: %s\n", *r.client.server.Ingress)
	}
	return nil
}

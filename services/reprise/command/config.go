package command

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"reprise/services/internal/grid"
)

const configTemplate = `# One table for each environment that 'reprise -e NAME' or 'reprise config use-environment NAME' can use.
#
# [production]
# ingress_base_url = "https://ingress.example.com/"
# admin_base_url = "https://admin.example.com/"
# bearer_token = "..."
`

func (r *runner) config() *cli.Command {
	return &cli.Command{
		Name: "config", Aliases: []string{"conf"}, Usage: "look at the configuration of this program and change it",
		Subcommands: []*cli.Command{
			{Name: "list-environments", Aliases: []string{"list-env"}, Usage: "list the environments", Flags: []cli.Flag{jsonFlag()}, Action: r.configList},
			{Name: "use-environment", Aliases: []string{"use-env"}, Usage: "use an environment from now on", ArgsUsage: "<NAME>", Action: r.configUse},
			{Name: "view", Usage: "print the configuration file", Action: r.configView},
			{Name: "edit", Usage: "edit the configuration file", Action: r.configEdit},
		},
	}
}

// files finds the configuration without reading it: these commands must work when it is broken.
func (r *runner) files(c *cli.Context) (files, error) {
	if err := r.begin(c); err != nil {
		return files{}, err
	}
	return findFiles(r.vars)
}

func (r *runner) configList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	f, err := r.files(c)
	if err != nil {
		return err
	}
	all, err := readConfig(f.config)
	if err != nil {
		return err
	}
	current, _, err := chosen(r.vars, f, c.String("environment"))
	if err != nil {
		return err
	}
	type entry struct {
		Name    string `json:"name"`
		Current bool   `json:"current"`
		Admin   string `json:"admin_base_url"`
		Ingress string `json:"ingress_base_url"`
	}
	entries := []entry{}
	t := grid.Table{Header: []string{"CURRENT", "NAME", "ADMIN_BASE_URL"}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		mark := ""
		if name == current {
			mark = "*"
		}
		t.Add(mark, visible(name), visible(all[name].Admin))
		entries = append(entries, entry{name, name == current, all[name].Admin, all[name].Ingress})
	}
	if c.Bool("json") {
		return r.printJSON(entries)
	}
	r.printf("%s", t.Draw(r.style))
	return nil
}

func (r *runner) configUse(c *cli.Context) error {
	name, err := argument(c, "NAME")
	if err != nil {
		return err
	}
	f, err := r.files(c)
	if err != nil {
		return err
	}
	all, err := readConfig(f.config)
	if err != nil {
		return err
	}
	if _, ok := all[name]; !ok {
		r.warn(fmt.Sprintf("environment %q is not in %s yet; 'reprise config edit' adds it", name, f.config))
	}
	if err := os.MkdirAll(filepath.Dir(f.environment), 0o700); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if err := os.WriteFile(f.environment, []byte(name), 0o600); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	r.ok("Updated %s to %s", f.environment, name)
	return nil
}

func (r *runner) configView(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	f, err := r.files(c)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(f.config)
	if errors.Is(err, fs.ErrNotExist) {
		r.warn(f.config + " does not exist; 'reprise config edit' makes it")
		return nil
	}
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	r.printf("%s", b)
	return nil
}

func (r *runner) configEdit(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	f, err := r.files(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.config), 0o700); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	// It may hold tokens: for its owner alone.
	file, err := os.OpenFile(f.config, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(configTemplate)
		err = errors.Join(err, file.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("configuration: %w", err)
	}
	if err := r.editFile(c.Context, f.config); err != nil {
		return err
	}
	if _, err := readConfig(f.config); err != nil {
		return err
	}
	r.ok("Edited %s", f.config)
	return nil
}

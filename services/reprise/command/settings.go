package command

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// localEnvironment is the environment that exists without a file.
const localEnvironment = "local"

// settings say which server a command talks to.
type settings struct {
	Environment string
	Source      string // who says so
	Admin       string // base URL without a slash at its end, or unix:<path>
	Ingress     string
	Token       string
	File        string // configuration file that was looked for
}

// lookup finds an environment variable; empty ones count as not set.
type lookup func(name string) (string, bool)

func (l lookup) get(name string) string {
	v, _ := l(name)
	return v
}

// profile is one environment's table in the configuration file.
type profile struct {
	Ingress string `toml:"ingress_base_url"`
	Admin   string `toml:"admin_base_url"`
	Token   string `toml:"bearer_token"`
}

// loadSettings puts together, later wins: what is built in, the file, environment variables.
func loadSettings(l lookup, environment string) (settings, error) {
	f, err := findFiles(l)
	if err != nil {
		return settings{}, err
	}
	s := settings{File: f.config}
	if s.Environment, s.Source, err = chosen(l, f, environment); err != nil {
		return settings{}, err
	}
	p, err := readProfile(s.File, s.Environment)
	if err != nil {
		return settings{}, err
	}
	s.Admin, s.Ingress, s.Token = p.Admin, p.Ingress, p.Token
	s.override(l)
	s.Admin, s.Ingress = strings.TrimRight(s.Admin, "/"), strings.TrimRight(s.Ingress, "/")
	if u, err := url.Parse(s.Admin); err != nil || u.Scheme == "" {
		return settings{}, fmt.Errorf("admin URL %q is not absolute", s.Admin)
	}
	return s, nil
}

// files are where the configuration is.
type files struct {
	config      string // TOML, a table for each environment
	environment string // the name of the one that is used
}

func findFiles(l lookup) (files, error) {
	home, err := configHome(l)
	if err != nil {
		return files{}, err
	}
	f := files{config: l.get("RESTATE_CLI_CONFIG"), environment: filepath.Join(home, "environment")}
	if f.config == "" {
		f.config = filepath.Join(home, "config.toml")
	}
	return f, nil
}

// chosen returns the environment that is used, and who says so.
func chosen(l lookup, f files, flag string) (name, source string, err error) {
	if flag != "" {
		return flag, "--environment", nil
	}
	if name = l.get("RESTATE_ENVIRONMENT"); name != "" {
		return name, "RESTATE_ENVIRONMENT", nil
	}
	b, err := os.ReadFile(f.environment)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("current environment: %w", err)
	}
	if name = strings.TrimSpace(string(b)); name != "" {
		return name, f.environment, nil
	}
	return localEnvironment, "default", nil
}

func configHome(l lookup) (string, error) {
	if home := l.get("RESTATE_CLI_CONFIG_HOME"); home != "" {
		return home, nil
	}
	if home := l.get("HOME"); home != "" {
		return filepath.Join(home, ".config", "restate"), nil
	}
	return "", errors.New("no home for the configuration: set HOME or RESTATE_CLI_CONFIG_HOME")
}

func readProfile(file, environment string) (profile, error) {
	tables, err := readConfig(file)
	if err != nil {
		return profile{}, err
	}
	p, ok := tables[environment]
	if !ok {
		return profile{}, hint(fmt.Errorf("environment %q is not in %s", environment, file), "'reprise config list-environments' shows those that are.")
	}
	return p, nil
}

// readConfig returns the environments that there are, with the one that is built in.
func readConfig(file string) (map[string]profile, error) {
	b, err := os.ReadFile(file) //nolint:gosec // the user names the file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var tree map[string]any
	if err := toml.Unmarshal(b, &tree); err != nil {
		return nil, hint(fmt.Errorf("configuration %s: %w", file, err), "'reprise config edit' opens it.")
	}
	out := map[string]profile{localEnvironment: {Ingress: "http://localhost:8080", Admin: "http://localhost:9070"}}
	for name, v := range tree {
		table, ok := v.(map[string]any)
		if !ok {
			continue // what is not of ours, such as environment_type
		}
		p := out[name]
		for key, to := range map[string]*string{"ingress_base_url": &p.Ingress, "admin_base_url": &p.Admin, "bearer_token": &p.Token} {
			if text, ok := table[key].(string); ok {
				*to = text
			}
		}
		out[name] = p
	}
	return out, nil
}

func (s *settings) override(l lookup) {
	if host := l.get("RESTATE_HOST"); host != "" {
		scheme := l.get("RESTATE_HOST_SCHEME")
		if scheme == "" {
			scheme = "http"
		}
		s.Ingress = scheme + "://" + host + ":8080"
		s.Admin = scheme + "://" + host + ":9070"
	}
	for name, to := range map[string]*string{"RESTATE_INGRESS_URL": &s.Ingress, "RESTATE_ADMIN_URL": &s.Admin, "RESTATE_AUTH_TOKEN": &s.Token} {
		if v := l.get(name); v != "" {
			*to = v
		}
	}
}

// withDotEnv adds the variables of a file .env; real ones win.
func withDotEnv(l lookup, file string) (lookup, error) {
	b, err := os.ReadFile(file) //nolint:gosec // .env of the working directory
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("environment file: %w", err)
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		vars[strings.TrimSpace(name)] = value
	}
	return func(name string) (string, bool) {
		if v, ok := l(name); ok {
			return v, true
		}
		v, ok := vars[name]
		return v, ok
	}, nil
}

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
	home, err := configHome(l)
	if err != nil {
		return settings{}, err
	}
	s := settings{Environment: environment, File: l.get("RESTATE_CLI_CONFIG")}
	if s.File == "" {
		s.File = filepath.Join(home, "config.toml")
	}
	if s.Environment == "" {
		s.Environment = l.get("RESTATE_ENVIRONMENT")
	}
	if s.Environment == "" {
		b, err := os.ReadFile(filepath.Join(home, "environment"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return settings{}, fmt.Errorf("current environment: %w", err)
		}
		s.Environment = strings.TrimSpace(string(b))
	}
	if s.Environment == "" {
		s.Environment = localEnvironment
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
	builtIn := profile{Ingress: "http://localhost:8080", Admin: "http://localhost:9070"}
	b, err := os.ReadFile(file) //nolint:gosec // the user names the file
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return profile{}, fmt.Errorf("configuration: %w", err)
	}
	var tables map[string]any
	if err := toml.Unmarshal(b, &tables); err != nil {
		return profile{}, fmt.Errorf("configuration %s: %w", file, err)
	}
	table, ok := tables[environment].(map[string]any)
	if !ok {
		if environment != localEnvironment {
			return profile{}, fmt.Errorf("environment %q is not in %s", environment, file)
		}
		return builtIn, nil
	}
	p := profile{}
	if environment == localEnvironment {
		p = builtIn
	}
	for key, to := range map[string]*string{"ingress_base_url": &p.Ingress, "admin_base_url": &p.Admin, "bearer_token": &p.Token} {
		if v, ok := table[key].(string); ok {
			*to = v
		}
	}
	return p, nil
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

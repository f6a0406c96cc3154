package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"reprise/pkg/errs"
)

// Options are the sources of the settings.
type Options struct {
	File       string            // path of a TOML file; empty: RESTATE_CONFIG, if set
	Environ    []string          // NAME=value, as os.Environ gives them
	Flags      map[string]string // dotted key to text, of flags that were given
	Production bool              // never create a cluster unless told to
	Hostname   string            // default of node-name; empty: the system's
}

const envPrefix = "RESTATE_"

// reserved are variables of the prefix that are no keys: those of command lines and of test harnesses.
var reserved = []string{"CONFIG", "ENV", "LOG", "HOST", "HOST_SCHEME", "HOST_PORT", "INGRESS_URL", "ADMIN_URL", "CLI_CONFIG_FILE", "CLI_CONFIG_HOME", "ENVIRONMENT", "AUTH_TOKEN", "LOCAL"}

// Load lays the file over the defaults, the environment over the file and flags over all. It returns
// one warning for each key that nobody knows. The error names every fault, one a line.
func Load(o Options) (Config, []string, error) {
	cfg := Default()
	cfg.AutoProvision = !o.Production
	env, file := splitEnviron(o.Environ)
	if o.File != "" {
		file = o.File
	}
	var warnings, unused []string
	var faults []error
	lay := func(source string, m map[string]any) {
		d := decoder{source: source}
		d.table(nil, m, reflect.ValueOf(&cfg).Elem())
		for _, key := range d.unknown {
			warnings = append(warnings, fmt.Sprintf("unknown configuration key %s in %s", key, source))
		}
		unused = append(unused, d.unused...)
		faults = append(faults, d.errs...)
	}
	if file != "" {
		m, err := readFile(file)
		if err != nil {
			return Config{}, nil, err
		}
		lay(file, m)
	}
	for _, v := range env { // one by one, so that a fault names its variable
		lay("environment", tree(v.path, v.text))
	}
	flags := make([]string, 0, len(o.Flags))
	for key := range o.Flags {
		flags = append(flags, key)
	}
	slices.Sort(flags)
	for _, key := range flags {
		lay("flags", tree(strings.Split(key, "."), o.Flags[key]))
	}
	if len(unused) > 0 {
		slices.Sort(unused)
		warnings = append(warnings, "configuration keys without effect: "+strings.Join(slices.Compact(unused), ", "))
	}
	if cfg.NodeName == "" {
		cfg.NodeName = o.Hostname
		if cfg.NodeName == "" {
			cfg.NodeName, _ = os.Hostname() // Validate refuses an empty name
		}
	}
	if faults = append(faults, cfg.Validate()); errors.Join(faults...) != nil {
		return Config{}, warnings, errs.With(errs.Invalid, errors.Join(faults...))
	}
	return cfg, warnings, nil
}

func readFile(path string) (map[string]any, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "configuration file: %w", err)
	}
	var m map[string]any
	if err := toml.Unmarshal(b, &m); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return nil, errs.Newf(errs.Invalid, "configuration file %s, line %d column %d: %w", path, row, column, err)
		}
		return nil, errs.Newf(errs.Invalid, "configuration file %s: %w", path, err)
	}
	return m, nil
}

type envVar struct {
	path []string
	text string
}

// splitEnviron returns the settings, whole tables before single keys, and the name of the file.
func splitEnviron(environ []string) (vars []envVar, file string) {
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		key, ok := strings.CutPrefix(name, envPrefix)
		if name == "RUST_LOG" && text != "" { // as people who come from the reference set it
			vars = append(vars, envVar{path: []string{"log-filter"}, text: text})
		}
		switch {
		case !ok || key == "" || text == "":
		case key == "CONFIG":
			file = text
		case slices.Contains(reserved, key):
		default:
			path := strings.Split(strings.ToLower(key), "__")
			for i := range path {
				path[i] = strings.ReplaceAll(path[i], "_", "-")
			}
			vars = append(vars, envVar{path: path, text: text})
		}
	}
	slices.SortStableFunc(vars, func(a, b envVar) int {
		return cmp.Or(cmp.Compare(len(a.path), len(b.path)), slices.Compare(a.path, b.path))
	})
	return vars, file
}

// tree nests a value below its path.
func tree(path []string, v any) map[string]any {
	for i := len(path) - 1; i >= 0; i-- {
		v = map[string]any{path[i]: v}
	}
	m, _ := v.(map[string]any) // path is never empty
	return m
}

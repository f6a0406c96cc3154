package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
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

const (
	envPrefix = "RESTATE_"
	rustLog   = "RUST_LOG" // sets log-filter, as in the reference
)

// reserved are variables of the prefix that are no keys: those of command lines and of test harnesses.
var reserved = []string{"CONFIG", "ENV", "LOG", "HOST", "HOST_SCHEME", "HOST_PORT", "INGRESS_URL", "ADMIN_URL", "CLI_CONFIG_FILE", "CLI_CONFIG_HOME", "ENVIRONMENT", "AUTH_TOKEN", "LOCAL"}

// fileBytesMax bounds a configuration file: what is larger is none.
const fileBytesMax = 1 << 20

// Load lays the file over the defaults, the environment over the file and flags over all. It returns
// warnings: one for each key that nobody knows, and one for each reason why keys have no effect. The error names every fault,
// one a line.
func Load(o Options) (Config, []string, error) {
	var text []byte
	if path := o.path(); path != "" {
		var err error
		if text, err = readFile(path); err != nil {
			return Config{}, nil, err
		}
	}
	return o.parse(text)
}

// path is that of the file; "" if there is none.
func (o Options) path() string {
	if o.File != "" {
		return o.File
	}
	_, path := splitEnviron(o.Environ)
	return path
}

// parse is Load with the text of the file.
func (o Options) parse(text []byte) (Config, []string, error) {
	cfg := Default()
	cfg.AutoProvision = !o.Production
	inert := map[string]string{}
	var warnings []string
	var faults []error
	lay := func(source string, m map[string]any) {
		d := decoder{source: source, inert: inert}
		d.table(nil, m, reflect.ValueOf(&cfg).Elem())
		for _, key := range d.unknown {
			warnings = append(warnings, unknownWarning(key, source))
		}
		faults = append(faults, d.errs...)
	}
	if path := o.path(); path != "" {
		m, err := parseFile(path, text)
		if err != nil {
			faults = append(faults, err)
		}
		lay(path, m)
	}
	env, _ := splitEnviron(o.Environ)
	for _, v := range env { // one by one, so that a fault names its variable
		lay("environment variable "+v.name, tree(v.path, v.text))
	}
	for _, key := range slices.Sorted(maps.Keys(o.Flags)) {
		lay("flags", tree(strings.Split(key, "."), o.Flags[key]))
	}
	if cfg.NodeName == "" {
		cfg.NodeName = o.Hostname
		if cfg.NodeName == "" {
			cfg.NodeName, _ = os.Hostname() // Validate refuses an empty name
		}
	}
	warnings = append(append(warnings, cfg.inertWarnings(inert)...), cfg.doubts()...)
	if faults = append(faults, cfg.Validate(), cfg.checkFiles()); errors.Join(faults...) != nil {
		return Config{}, warnings, errs.With(errs.Invalid, errors.Join(faults...))
	}
	return cfg, warnings, nil
}

func unknownWarning(key, source string) string {
	text := fmt.Sprintf("unknown configuration key %s in %s", key, source)
	if near := nearest(key); near != "" {
		text += fmt.Sprintf(": did you mean %s?", near)
	}
	return text
}

// readFile reads a configuration file.
func readFile(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "configuration file: %w", err)
	}
	defer errs.CloseInto(&err, f)
	text, err = io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "configuration file: %w", err)
	}
	if len(text) > fileBytesMax {
		return nil, errs.Newf(errs.Invalid, "configuration file %s has more than 1 MiB: name another one", path)
	}
	return text, nil
}

func parseFile(path string, text []byte) (map[string]any, error) {
	var m map[string]any
	err := toml.Unmarshal(text, &m)
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, column := at.Position()
		return nil, fmt.Errorf("configuration file %s, line %d column %d: %w", path, row, column, err)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	return m, nil
}

type envVar struct {
	name string
	path []string
	text string
}

// splitEnviron returns the settings, whole tables before single keys, and the name of the file.
func splitEnviron(environ []string) (vars []envVar, file string) {
	for _, e := range environ {
		name, text, _ := strings.Cut(e, "=")
		key, ok := strings.CutPrefix(name, envPrefix)
		if name == rustLog && text != "" {
			vars = append(vars, envVar{name: name, path: []string{"log-filter"}, text: text})
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
			vars = append(vars, envVar{name: name, path: path, text: text})
		}
	}
	slices.SortStableFunc(vars, func(a, b envVar) int {
		return cmp.Or(cmp.Compare(len(a.path), len(b.path)), slices.Compare(a.path, b.path), cmp.Compare(rank(a), rank(b)))
	})
	return vars, file
}

// rank is higher for a variable that wins over others of the same key.
func rank(v envVar) int {
	if v.name == rustLog {
		return 1
	}
	return 0
}

// tree nests a value below its path.
func tree(path []string, v any) map[string]any {
	for i := len(path) - 1; i >= 0; i-- {
		v = map[string]any{path[i]: v}
	}
	m, _ := v.(map[string]any) // path is never empty
	return m
}

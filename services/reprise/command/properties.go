package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"reprise/services/internal/argv"
	"reprise/services/internal/grid"
)

// redacted is what the server shows instead of a secret.
const redacted = "***"

// pairs reads KEY=VALUE arguments.
func pairs(list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, p := range list {
		key, value, ok := strings.Cut(p, "=")
		if !ok || key == "" {
			return nil, argv.Usagef("invalid value '%s': expected KEY=VALUE", p)
		}
		m[key] = value
	}
	return m, nil
}

// parseProperties reads key=value lines; # begins a comment.
func parseProperties(text string) (map[string]string, error) {
	m := map[string]string{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return nil, fmt.Errorf("line %d is not key=value: %s", n, visible(line))
		}
		m[key] = strings.TrimSpace(value)
	}
	return m, nil
}

// readProperties reads a file of properties, or - for the standard input. Files of another kind than .properties
// and .conf are TOML: texts at the top and in the table section.
func (r *runner) readProperties(file, section string) (top, properties map[string]string, err error) {
	var b []byte
	if file == "-" {
		b, err = io.ReadAll(r.in)
	} else {
		b, err = os.ReadFile(file) //nolint:gosec // the user names the file
	}
	if err != nil {
		return nil, nil, fmt.Errorf("properties: %w", err)
	}
	if ext := filepath.Ext(file); file == "-" || ext == ".properties" || ext == ".conf" {
		m, err := parseProperties(string(b))
		if err != nil {
			return nil, nil, fmt.Errorf("properties %s: %w", file, err)
		}
		return m, m, nil
	}
	var tree map[string]any
	if err := toml.Unmarshal(b, &tree); err != nil {
		return nil, nil, fmt.Errorf("properties %s: %w", file, err)
	}
	table, ok := tree[section].(map[string]any)
	if tree[section] != nil && !ok {
		return nil, nil, fmt.Errorf("properties %s: %s is no table", file, section)
	}
	top, properties = map[string]string{}, map[string]string{}
	flatten(properties, "", table)
	delete(tree, section)
	flatten(top, "", tree)
	return top, properties, nil
}

// flatten writes tables of tables as keys with dots, which is what they mean in properties.
func flatten(to map[string]string, prefix string, from map[string]any) {
	for key, v := range from {
		if table, ok := v.(map[string]any); ok {
			flatten(to, prefix+key+".", table)
			continue
		}
		to[prefix+key] = fmt.Sprint(v)
	}
}

// editProperties lets the user change properties in an editor, below a comment. Nothing written is no properties.
func (r *runner) editProperties(ctx context.Context, name, comment string, m map[string]string) (map[string]string, error) {
	var b strings.Builder
	for line := range strings.Lines(comment) {
		b.WriteString("# " + line)
	}
	b.WriteString("\n")
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if strings.ContainsAny(m[key], "\r\n") {
			return nil, fmt.Errorf("property %s has several lines, which the editor cannot show; use --from-file with a TOML file", key)
		}
		fmt.Fprintf(&b, "%s=%s\n", key, m[key])
	}
	text, err := r.edit(ctx, name, b.String())
	if err != nil {
		return nil, err
	}
	m, err = parseProperties(text)
	if err != nil {
		return nil, fmt.Errorf("edited properties: %w", err)
	}
	return m, nil
}

// keyValues is the table of properties.
func keyValues(m map[string]string) *grid.Table {
	t := &grid.Table{Header: []string{"KEY", "VALUE"}}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		t.Add(visible(key), shown(key, m[key]))
	}
	return t
}

// changedProperties is the table of what differs; it has no rows when nothing does.
func changedProperties(old, now map[string]string) *grid.Table {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, now)
	t := &grid.Table{Header: []string{"PROPERTY", "OLD", "NEW"}}
	text := func(m map[string]string, key string) string {
		if v, ok := m[key]; ok {
			return shown(key, v)
		}
		return "(unset)"
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, had := old[key]
		if will, has := now[key]; had != has || was != will {
			t.Add(visible(key), text(old, key), text(now, key))
		}
	}
	return t
}

// shown hides passwords from whoever looks at the screen, as the server does.
func shown(key, value string) string {
	if strings.Contains(key, "password") || strings.Contains(key, "secret") {
		return redacted
	}
	return visible(value)
}

// refuseRedacted refuses to store what the server shows in place of secrets.
func refuseRedacted(m map[string]string) error {
	var keys []string
	for key, v := range m {
		if v == redacted {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return hint(errors.New("the server does not tell these values, which would be lost: "+strings.Join(keys, ", ")),
		"Set them again with --set KEY=VALUE, or give all properties with --from-file FILE.")
}

package config

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// preface is what the reference page begins with.
//
//go:embed reference.md
var preface string

// Reference is docs/configuration.md: every key with its type, default, environment form and meaning.
func Reference() (string, error) {
	keys, err := Keys()
	if err != nil {
		return "", err
	}
	about, err := comments()
	if err != nil {
		return "", err
	}
	defaults := Default()
	var b strings.Builder
	b.WriteString(preface)
	heading := ""
	for i, s := range settings(&defaults) {
		section, _, _ := cutLast(s.key)
		title, text := "`"+section+"`", about[s.table]
		switch {
		case s.table == "Config":
			title, text = "Root: other", ""
		case section == "":
			title = "Root: " + strings.ToLower(s.table)
		case s.table == "Listen":
			title += ": listener"
		}
		if s.table == "Retry" || s.table == "InvocationRetry" { // its keys stand with those of the table that it is in
			continue
		}
		if title != heading {
			heading = title
			fmt.Fprintf(&b, "\n## %s\n\n", title)
			if text != "" {
				fmt.Fprintf(&b, "%s\n\n", text)
			}
			b.WriteString("| key | type | default | live | meaning |\n| --- | --- | --- | --- | --- |\n")
		}
		b.WriteString(keys[i].row())
	}
	retries(&b, keys)
	inertList(&b)
	return b.String(), nil
}

// cutLast splits a key into its section and its own name.
func cutLast(key string) (section, name string, ok bool) {
	if i := strings.LastIndex(key, "."); i >= 0 {
		return key[:i], key[i+1:], true
	}
	return "", key, false
}

// row of a table.
func (k Key) row() string {
	value := "-"
	switch {
	case k.Default != "":
		value = "`" + k.Default + "`"
	case k.Else != "":
		value = k.Else
	}
	live := ""
	if k.Live {
		live = "live"
	}
	return fmt.Sprintf("| `%s`<br>`%s` | %s | %s | %s | %s |\n", k.Name, k.Env(), cell(k.Type), cell(value), live, cell(k.describe()))
}

func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;").Replace(s)
}

// retries lists the policies, which all have the same keys.
func retries(b *strings.Builder, keys []Key) {
	b.WriteString("\n## Retry policies\n\n")
	b.WriteString("Tables with the same keys, such as `worker.snapshots.object-store-retry-policy = {type = \"exponential\", initial-interval = \"100ms\", factor = 2.0, max-attempts = 10, max-interval = \"10s\"}`.\n\n")
	b.WriteString("| key | type | default | live | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, k := range keys {
		if section, _, _ := cutLast(k.Name); strings.HasSuffix(section, "-policy") {
			b.WriteString(k.row())
		}
	}
}

// inertList lists the keys that are taken and have no effect.
func inertList(b *strings.Builder) {
	b.WriteString("\n## Accepted, without effect\n\nConfiguration files of the reference may have these keys. Whoever sets one to something else than its default is told once, at the start.\n\n")
	b.WriteString("| keys | why |\n| --- | --- |\n")
	for _, group := range inert {
		names := make([]string, len(group.keys))
		for i, k := range group.keys {
			if strings.HasSuffix(k, ".") || strings.HasSuffix(k, "-") {
				k += "*"
			}
			names[i] = "`" + k + "`"
		}
		slices.Sort(names)
		fmt.Fprintf(b, "| %s | %s |\n", strings.Join(names, ", "), group.why)
	}
	names := make([]string, len(databaseSections))
	for i, s := range databaseSections {
		names[i] = "`" + s + "rocksdb-*`"
	}
	fmt.Fprintf(b, "| %s, but for those above | %s |\n", strings.Join(names, ", "), whyDatabase)
}

package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
)

// Result is the outcome of one case.
type Result struct {
	Group    string   `json:"group"`
	Name     string   `json:"name"`
	Desc     string   `json:"description"`
	Expect   string   `json:"expected"`
	Tags     []string `json:"tags,omitempty"`
	Result   string   `json:"result"`
	Reason   string   `json:"reason,omitempty"`
	Log      []string `json:"log,omitempty"`
	Duration int64    `json:"duration_ms"`
}

func result(c Case) Result {
	return Result{Group: c.Group, Name: c.Name, Desc: c.Desc, Expect: c.Expect, Tags: c.Tags}
}

// listCases prints the cases, for people or as the table in CASES.md.
func listCases(cases []Case, markdown bool) {
	if markdown {
		listMarkdown(cases)
		return
	}
	groups := map[string]bool{}
	for _, c := range cases {
		tags := ""
		if len(c.Tags) > 0 {
			tags = " [" + strings.Join(c.Tags, ",") + "]"
		}
		fmt.Printf("%-46s %s%s\n", c.ID(), c.Desc, tags)
		groups[c.Group] = true
	}
	fmt.Printf("%d cases in %d groups\n", len(cases), len(groups))
}

func listMarkdown(cases []Case) {
	sort.SliceStable(cases, func(i, j int) bool { return cases[i].Group < cases[j].Group })
	cell := strings.NewReplacer("|", "\\|")
	group := ""
	fmt.Printf("# Cases\n")
	for _, c := range cases {
		if c.Group != group {
			group = c.Group
			fmt.Printf("\n## %s\n\n| case | what is done | what is expected |\n| --- | --- | --- |\n", group)
		}
		tags := ""
		if len(c.Tags) > 0 {
			tags = " (" + strings.Join(c.Tags, ", ") + ")"
		}
		fmt.Printf("| `%s`%s | %s | %s |\n", c.Name, tags, cell.Replace(c.Desc), cell.Replace(c.Expect))
	}
}

// writeJSON writes the results to a file.
func writeJSON(file, suite string, setup Setup, start time.Time, results []Result, p, f, s int) error {
	b, err := json.MarshalIndent(map[string]any{
		"suite": suite, "sdk": setup.SDK, "mode": setup.Mode.String(), "protocol_versions": setup.Versions.String(),
		"started": start.UTC().Format(time.RFC3339), "duration_ms": time.Since(start).Milliseconds(),
		"passed": p, "failed": f, "skipped": s, "cases": results,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func report(name string, results []Result) (pass, fail, skip int) {
	var groups []string
	by := map[string][]Result{}
	for _, r := range results {
		if by[r.Group] == nil {
			groups = append(groups, r.Group)
		}
		by[r.Group] = append(by[r.Group], r)
	}
	width := 10
	for _, r := range results {
		width = max(width, len(r.Name))
	}
	for _, g := range groups {
		p := 0
		for _, r := range by[g] {
			if r.Result == "PASS" {
				p++
			}
		}
		fmt.Printf("\n%s %s (%d/%d)\n", name, g, p, len(by[g]))
		for _, r := range by[g] {
			reason := r.Reason
			if i := strings.IndexByte(reason, '\n'); i >= 0 {
				reason = reason[:i]
			}
			fmt.Printf("  %s  %-*s %6d ms  %s\n", r.Result, width, r.Name, r.Duration, reason)
			switch r.Result {
			case "PASS":
				pass++
			case "SKIP":
				skip++
			default:
				fail++
				fmt.Printf("        expected: %s\n", r.Expect)
				for _, l := range r.Log {
					fmt.Printf("        | %s\n", l)
				}
			}
		}
	}
	fmt.Println()
	return
}

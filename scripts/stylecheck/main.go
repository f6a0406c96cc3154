// Command stylecheck checks the house rules that no linter knows.
//
// It reads all packages of the module with their types and prints one line for each place that
// breaks a rule. A line with the comment
//
//	//style:RULE reason
//
// on it or above it may break RULE; the reason is part of the comment. `stylecheck -rules` lists the
// rules. `stylecheck -sizes` prints what is larger than we like, which is no failure.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	listRules := flag.Bool("rules", false, "list the rules and end")
	sizes := flag.Bool("sizes", false, "print functions above 70 and files above 500 lines and end")
	flag.Parse()
	patterns := flag.Args()
	if len(patterns) == 0 {
		patterns = []string{"./pkg/...", "./services/...", "./scripts/..."}
	}
	if *listRules {
		for _, r := range rules {
			fmt.Printf("%-10s %s\n", r.name, r.what)
		}
		return
	}
	packages, err := load(patterns)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stylecheck:", err)
		os.Exit(2)
	}
	var findings []finding
	for _, p := range packages {
		if *sizes {
			findings = append(findings, large(p)...)
		} else {
			findings = append(findings, check(p)...)
		}
	}
	slices.SortFunc(findings, func(a, b finding) int { return strings.Compare(a.String(), b.String()) })
	for _, f := range slices.Compact(findings) {
		fmt.Println(f)
	}
	if len(findings) > 0 && !*sizes {
		os.Exit(1)
	}
}

// Command reprise-standalone runs all roles in one process, for development.
package main

import (
	"context"
	"fmt"
	"os"

	"reprise/pkg/query"
	"reprise/pkg/query/duck"
	"reprise/services/internal/daemon"
	"reprise/services/standalone/wire"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == query.ChildArg {
		os.Exit(duck.Main(os.Stdin, os.Stdout))
	}
	nodes, args, err := wire.CutNodes(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "reprise-standalone:", err)
		os.Exit(2)
	}
	run := wire.Run
	if nodes != 1 {
		os.Args = append(os.Args[:1:1], args...)
		run = func(ctx context.Context, d daemon.Daemon) error { return wire.Nodes(ctx, d, nodes, args) }
	}
	os.Exit(daemon.Main("standalone", "all roles in one process; --nodes 3: in three, as a cluster", run))
}

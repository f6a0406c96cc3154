// Command reprise-standalone runs all roles in one process, for development.
package main

import (
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
	os.Exit(daemon.Main("standalone", "all roles in one process", wire.Run))
}

// Command reprise-admin registers and shows services over REST.
package main

import (
	"os"

	"reprise/pkg/query"
	"reprise/pkg/query/duck"
	"reprise/services/admin/wire"
	"reprise/services/internal/daemon"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == query.ChildArg {
		os.Exit(duck.Main(os.Stdin, os.Stdout))
	}
	os.Exit(daemon.Main("admin", "registers and shows services over REST", wire.Run))
}

// Command reprise-standalone runs all roles in one process, for development.
package main

import (
	"os"

	"reprise/services/internal/daemon"
	"reprise/services/standalone/wire"
)

func main() { os.Exit(daemon.Main("standalone", "all roles in one process", wire.Run)) }

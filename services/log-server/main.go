// Command reprise-log-server stores the replicated logs.
package main

import (
	"os"

	"reprise/services/internal/daemon"
	"reprise/services/log-server/wire"
)

func main() { os.Exit(daemon.Main("log-server", "stores the replicated logs", wire.Run)) }

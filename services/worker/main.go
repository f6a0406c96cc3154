// Command reprise-worker runs partitions and their invocations.
package main

import (
	"os"

	"reprise/services/internal/daemon"
	"reprise/services/worker/wire"
)

func main() { os.Exit(daemon.Main("worker", "runs partitions and their invocations", wire.Run)) }

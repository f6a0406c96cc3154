// Command reprise-admin registers and shows services over REST.
package main

import (
	"os"

	"reprise/services/admin/wire"
	"reprise/services/internal/daemon"
)

func main() { os.Exit(daemon.Main("admin", "registers and shows services over REST", wire.Run)) }

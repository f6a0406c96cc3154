// Command reprise-ingress takes requests over HTTP.
package main

import (
	"os"

	"reprise/services/ingress/wire"
	"reprise/services/internal/daemon"
)

func main() { os.Exit(daemon.Main("ingress", "takes requests over HTTP", wire.Run)) }

// Command reprise-metadata keeps the metadata of a cluster: an etcd member, and a controller.
package main

import (
	"os"

	"reprise/services/internal/daemon"
	"reprise/services/metadata/wire"
)

func main() {
	os.Exit(daemon.Main("metadata", "keeps the metadata of a cluster: an etcd member, and a controller", wire.Run))
}

// Command services serves the test services on their own, for trying a server by hand.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"reprise/tests/conformance/harness"
	"reprise/tests/conformance/services"
)

func main() {
	bind := flag.String("bind", "127.0.0.1:9080", "host:port to listen on")
	mode := flag.String("mode", "bidi", "bidi, request-response or http1")
	versions := flag.String("protocol-versions", harness.Known.String(), "range of service protocol versions to show, MIN-MAX")
	prefix := flag.String("prefix", "", "serve the short list of services with this prefix instead of the whole list")
	flag.Parse()
	if err := serve(*bind, *mode, *versions, *prefix); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(bind, mode, versions, prefix string) error {
	m, err := harness.ParseMode(mode)
	if err != nil {
		return err
	}
	v, err := harness.ParseVersions(versions)
	if err != nil {
		return err
	}
	defs := services.Main()
	if prefix != "" {
		defs = services.Small(prefix)
	}
	ep, err := harness.NewEnv(harness.Setup{SDK: harness.GoSDK, Mode: m, Versions: v}).ServeSDK(m, bind, defs...)
	if err != nil {
		return err
	}
	fmt.Println("serving on", ep.URI)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
	ep.Close()
	return nil
}

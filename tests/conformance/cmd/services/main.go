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
	prefix := flag.String("prefix", "", "serve the short list of services with this prefix instead of the whole list")
	flag.Parse()
	modes := map[string]harness.Mode{"bidi": harness.Bidi, "request-response": harness.RequestResponse, "http1": harness.HTTP1}
	m, ok := modes[*mode]
	if !ok {
		fmt.Fprintf(os.Stderr, "unknown mode %q\n", *mode)
		os.Exit(2)
	}
	defs := services.Main()
	if *prefix != "" {
		defs = services.Small(*prefix)
	}
	h, err := harness.SDKHandler(m, defs...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ep, err := (&harness.Env{Bind: *bind}).Serve(m, h, *bind)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("serving on", ep.URI)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	<-ctx.Done()
	ep.Close()
}

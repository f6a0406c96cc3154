// Command reprise is the developer's command line: it registers and shows deployments and services.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"reprise/services/reprise/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command.Run(ctx, os.Args[1:], command.Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Lookup: os.LookupEnv,
	}))
}

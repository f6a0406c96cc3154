// Command reprisectl is the operator's command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"reprise/services/reprisectl/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command.Run(ctx, os.Args[1:], command.Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Lookup: os.Getenv}))
}

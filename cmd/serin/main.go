// Command serin ships new versions of serverless functions safely. All of it is in package cli; this file
// connects it to the process.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"serin/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends a command in order; a second one ends it at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Stdio()))
}

// Command greeter serves the example of the quickstart: a service and a counter, written with the
// unmodified Go SDK.
//
//	go run ./tests/e2e/greeter [-listen 127.0.0.1:9080]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/server"
)

// nap is how long SlowGreet sleeps: long enough to kill the server meanwhile.
const nap = 10 * time.Second

// Greeter is a plain service: its handlers run as often in parallel as they are called.
type Greeter struct{}

// Greet answers at once.
func (Greeter) Greet(_ restate.Context, name string) (string, error) {
	return "Hello " + name, nil
}

// SlowGreet does a step, sleeps durably, and does another step. Each step runs once, whatever is
// killed and started again meanwhile.
func (Greeter) SlowGreet(ctx restate.Context, name string) (string, error) {
	before, err := step(ctx, "before the nap")
	if err != nil {
		return "", err
	}
	if err := restate.Sleep(ctx, nap); err != nil {
		return "", err
	}
	after, err := step(ctx, "after the nap")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Hello %s: %s, then %s", name, before, after), nil
}

// step says on the console that its code runs, and returns when that was.
func step(ctx restate.Context, name string) (string, error) {
	return restate.Run(ctx, func(restate.RunContext) (string, error) {
		at := time.Now().Format(time.TimeOnly)
		fmt.Println(at, "the step", name, "runs")
		return fmt.Sprintf("%s (%s)", name, at), nil
	}, restate.WithName(name))
}

// Counter is a virtual object: one handler at a time for each key, with state of its own.
type Counter struct{}

const count = "count"

// Add adds n to the counter and returns what it is then.
func (Counter) Add(ctx restate.ObjectContext, n int) (int, error) {
	have, err := restate.Get[int](ctx, count)
	if err != nil {
		return 0, err
	}
	restate.Set(ctx, count, have+n)
	return have + n, nil
}

// Get returns the counter. It is shared: it waits for nobody.
func (Counter) Get(ctx restate.ObjectSharedContext) (int, error) {
	return restate.Get[int](ctx, count)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9080", "host:port to serve on")
	flag.Parse()
	if err := serve(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "greeter:", err)
		os.Exit(1)
	}
}

func serve(listen string) error {
	handler, err := server.NewRestate().Bind(restate.Reflect(Greeter{})).Bind(restate.Reflect(Counter{})).Handler()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
	fmt.Println("serving Greeter and Counter on http://" + ln.Addr().String())
	go func() {
		<-ctx.Done()
		_ = srv.Close() // attempts are cut; the server tries them again
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

package invoker

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"reprise/pkg/invoker/h2"
	"reprise/pkg/lifecycle"
)

// An endpoint that goes away while the request body waits for something to send must not be waited for
// until the attempt times out.
func TestEndOfConnectionEndsTheRequest(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ln := must(new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"))
	g := lifecycle.NewGroup(ctx)
	g.Go("endpoint", func(context.Context) error {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return err
		}
		return errors.Join(conn.Close(), ln.Close())
	})
	x := &plainExchange{}
	x.changed = sync.NewCond(&x.mu)
	defer context.AfterFunc(ctx, x.stop)() // or a failure would wait for ever
	req := must(x.request(ctx, "http://"+ln.Addr().String()))
	resp, err := newPlainClient(h2.Default()).Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("the endpoint answered %s", resp.Status)
	}
	if ctx.Err() != nil {
		t.Fatalf("it took the whole time: %v", err)
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

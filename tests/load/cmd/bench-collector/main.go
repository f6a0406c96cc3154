// Command bench-collector takes spans by OTLP, over gRPC and over HTTP, counts them and throws them away. It stands in for a
// collector where the cost of tracing is measured: what it costs itself is not the server's.
package main

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// messageBytesMax bounds a request.
const messageBytesMax = 64 << 20

type collector struct {
	spans, requests, refused atomic.Int64
}

func main() {
	listen := flag.String("listen", "127.0.0.1:4317", "address; gRPC, and POST /v1/traces; GET /count tells what came")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "bench-collector:", err)
		os.Exit(1)
	}
}

func run(listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	c := &collector{}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /opentelemetry.proto.collector.trace.v1.TraceService/Export", c.grpc)
	mux.HandleFunc("POST /v1/traces", c.http)
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, c) })
	srv := &http.Server{Handler: mux, Protocols: &protocols}
	after := context.AfterFunc(ctx, func() { _ = srv.Close() }) // nothing is kept
	defer after()
	err = srv.Serve(ln)
	fmt.Println(c)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (c *collector) String() string {
	return fmt.Sprintf("%d spans in %d requests, %d refused", c.spans.Load(), c.requests.Load(), c.refused.Load())
}

func (c *collector) http(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(r.Body)
		if err != nil {
			c.refused.Add(1)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = zipped
	}
	b, err := io.ReadAll(io.LimitReader(body, messageBytesMax))
	if err == nil {
		err = c.take(b)
	}
	if err != nil {
		c.refused.Add(1)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty message
}

// grpc is a call with one message, which is five bytes (compressed or not, length) and the message, either way.
func (c *collector) grpc(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	status, message := "0", ""
	var head [5]byte
	_, err := io.ReadFull(r.Body, head[:])
	if err == nil && head[0] != 0 {
		err = errors.New("compressed messages are not read")
	}
	if size := binary.BigEndian.Uint32(head[1:]); err == nil && size > messageBytesMax {
		err = fmt.Errorf("%d bytes are too many", size)
	} else if err == nil {
		b := make([]byte, size)
		if _, err = io.ReadFull(r.Body, b); err == nil {
			err = c.take(b)
		}
	}
	if err != nil {
		c.refused.Add(1)
		status, message = "3", err.Error()
	} else if _, err := w.Write(make([]byte, len(head))); err != nil {
		return // the client is gone
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", message)
}

// take counts the spans of an ExportTraceServiceRequest: resource_spans = 1, scope_spans = 2, spans = 2.
func (c *collector) take(b []byte) error {
	n := 0
	err := walk(b, 1, func(b []byte) error {
		return walk(b, 2, func(b []byte) error {
			return walk(b, 2, func([]byte) error { n++; return nil })
		})
	})
	if err == nil {
		c.spans.Add(int64(n))
		c.requests.Add(1)
	}
	return err
}

// walk calls f for each message in the field of that number.
func walk(b []byte, field protowire.Number, f func([]byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		if value := b[n : n+size]; number == field && kind == protowire.BytesType {
			inside, _ := protowire.ConsumeBytes(value)
			if err := f(inside); err != nil {
				return err
			}
		}
		b = b[n+size:]
	}
	return nil
}

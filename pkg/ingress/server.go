package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"reprise/pkg/host"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
)

// headerTimeout is how long a client may take to send the head of a request.
const headerTimeout = 30 * time.Second

// Server answers on each listener: plain requests of HTTP/1.1 itself, all others, of HTTP/1 and of HTTP/2 with
// prior knowledge, through net/http. It is a lifecycle.Part.
type Server struct {
	core      *Ingress
	listeners []net.Listener
	host      host.Host
	ready     chan struct{}
	plain     *plainFront
	exchanges sync.Pool // of *httpExchange
}

// NewServer returns a server that closes the listeners when it ends.
func NewServer(core *Ingress, listeners []net.Listener, h host.Host) *Server {
	s := &Server{core: core, listeners: slices.Clone(listeners), host: h, ready: make(chan struct{}), plain: newPlainFront(core, h)}
	s.exchanges.New = func() any { return &httpExchange{} }
	if c := core.parts.Certs; c != nil {
		for i, ln := range listeners {
			s.listeners[i] = tls.NewListener(ln, c.Server())
		}
	}
	return s
}

// Ready is closed when requests are answered.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends; then requests in flight get Config.DrainTimeout.
func (s *Server) Run(ctx context.Context) error {
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(ErrDraining)
	server := s.httpServer(base)
	group := lifecycle.NewGroup(ctx)
	if c := s.core.parts.Certs; c != nil {
		group.Go("certificate", c.Run)
	}
	if t := s.core.parts.Tokens; t != nil {
		group.Go("tokens", t.Run)
	}
	group.Go("serve with net/http", func(context.Context) error {
		if err := server.Serve(s.plain.other); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go("look after connections", func(context.Context) error {
		s.plain.sweep(group)
		return nil
	})
	for _, ln := range s.listeners {
		group.Go("accept on "+ln.Addr().String(), func(ctx context.Context) error {
			return s.plain.accept(ctx, base, group, ln)
		})
	}
	close(s.ready)
	group.Go("drain", func(ctx context.Context) error {
		<-ctx.Done()
		return s.drain(server, end)
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("ingress: %w", err)
	}
	return nil
}

func (s *Server) httpServer(base context.Context) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s,
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: s.core.cfg.StreamsMax},
		ReadHeaderTimeout: headerTimeout,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         s.count,
		ErrorLog:          log.New(complaints{s.host.Log}, "", 0),
		// OPTIONS * is answered like any other OPTIONS.
		DisableGeneralOptionsHandler: true,
	}
}

// drain stops accepting, waits for what is in flight, and answers what is left with 503.
func (s *Server) drain(server *http.Server, end context.CancelCauseFunc) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := s.host.Clock.NewTimer(s.core.cfg.DrainTimeout)
	watch := lifecycle.NewGroup(ctx)
	watch.Go("drain timeout", func(ctx context.Context) error {
		defer t.Stop()
		select {
		case <-t.C():
			s.host.Log.LogAttrs(ctx, slog.LevelWarn, "ingress drain timed out")
			end(ErrDraining)
			t.Reset(lastWordTimeout)
			select {
			case <-t.C():
				cancel()
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		return nil
	})
	var errClose error
	for _, ln := range s.listeners {
		errClose = errors.Join(errClose, ln.Close())
	}
	s.plain.drain()
	err := server.Shutdown(ctx)
	select {
	case <-s.plain.drained:
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // what did not end by then is cut
		s.plain.cut()
		err = server.Close()
	}
	cancel()
	return errors.Join(errClose, err, watch.Wait())
}

// lastWordTimeout is how long the 503 answers of a drain that timed out may take.
const lastWordTimeout = 500 * time.Millisecond

// complaints is where net/http writes about clients that misbehave, and about panics of ours.
type complaints struct{ log *slog.Logger }

func (c complaints) Write(p []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.Contains(p, []byte("panic")) {
		level = slog.LevelError
	}
	c.log.LogAttrs(context.Background(), level, "http server complains", slog.String(logkey.Err, string(bytes.TrimSpace(p))))
	return len(p), nil
}

// count counts connections that end with net/http; all begin without it.
func (s *Server) count(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		s.core.metrics.dropped.Inc()
	}
}

// httpExchange is a request of net/http in the form of the core, and the buffers it needs.
type httpExchange struct {
	req      Request
	r        *http.Request
	limit    int64
	buf      []byte
	read     bool
	readErr  error
	released bool
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := s.exchanges.Get().(*httpExchange)
	e.begin(r, s.core.requestBytesMax.Load())
	resp := s.core.Serve(r.Context(), &e.req)
	write(w, &e.req, &resp)
	e.end()
	s.exchanges.Put(e)
}

func (e *httpExchange) begin(r *http.Request, limit int64) {
	e.r, e.limit, e.read, e.readErr, e.released = r, limit, false, nil, false
	e.req.Method, e.req.Target, e.req.ContentLength, e.req.Body = r.Method, originForm(r.RequestURI), r.ContentLength, e
	e.req.Headers = e.req.Headers[:0]
	for name, values := range r.Header {
		if len(values) > 0 {
			e.req.Headers = append(e.req.Headers, Header{Key: lower(name), Value: values[0]})
		}
	}
	// net/http keeps headers in a map. Sorted, equal requests make equal records.
	slices.SortFunc(e.req.Headers, func(a, b Header) int { return strings.Compare(a.Key, b.Key) })
}

func (e *httpExchange) end() {
	e.Release()
	clear(e.req.Headers)
	e.r, e.req.Body, e.req.Target = nil, nil, ""
}

// originForm drops scheme and authority of a request target in absolute form.
func originForm(uri string) string {
	if uri == "" || uri[0] == '/' {
		return uri
	}
	if _, rest, ok := strings.Cut(uri, "://"); ok {
		if at := strings.IndexAny(rest, "/?"); at >= 0 {
			return rest[at:]
		}
		return "/"
	}
	return uri
}

// lower returns the lower case of a canonical header name; for the usual ones without an allocation.
func lower(name string) string {
	switch name {
	case "Accept":
		return "accept"
	case "Accept-Encoding":
		return "accept-encoding"
	case "Content-Length":
		return "content-length"
	case "Content-Type":
		return headerContentType
	case "Idempotency-Key":
		return headerIdempotencyKey
	case "Traceparent":
		return headerTraceParent
	case "User-Agent":
		return "user-agent"
	default:
		return strings.ToLower(name)
	}
}

// bodyBufferMax is the largest buffer that is kept for the next request.
const bodyBufferMax = 1 << 20

// bodyBufferStart is the size of a buffer for a body of unknown length.
const bodyBufferStart = 4 << 10

// Bytes reads the body.
func (e *httpExchange) Bytes() ([]byte, error) {
	if e.read {
		return e.buf, e.readErr
	}
	e.read = true
	want := e.r.ContentLength // checked against the limit by the core
	if want == 0 {
		return nil, nil
	}
	if want < 0 {
		want = bodyBufferStart
	}
	// One byte more shows the end without growing.
	e.buf = slices.Grow(e.buf[:0], int(want)+1)
	for {
		n, err := e.r.Body.Read(e.buf[len(e.buf):cap(e.buf)])
		e.buf = e.buf[:len(e.buf)+n]
		if int64(len(e.buf)) > e.limit {
			e.readErr = ErrBodyTooLarge
			return nil, e.readErr
		}
		if err == io.EOF {
			return e.buf, nil
		}
		if err != nil {
			e.readErr = err
			return nil, err
		}
		if len(e.buf) == cap(e.buf) {
			e.buf = slices.Grow(e.buf, len(e.buf))
		}
	}
}

// Release gives the body's memory back.
func (e *httpExchange) Release() {
	if e.released {
		return
	}
	e.released = true
	if cap(e.buf) > bodyBufferMax {
		e.buf = nil
	}
	e.buf = e.buf[:0]
}

// Header values that never change, shared by all responses.
var (
	valuesVary        = []string{CORSVary}
	valuesTrue        = []string{"true"}
	valuesJSON        = []string{contentTypeJSON}
	valuesIngress     = []string{string(fromIngress)}
	valuesInvocation  = []string{string(fromInvocation)}
	valuesNone        []string // net/http guesses a content-type unless there is an entry
	valuesEmptyLength = []string{"0"}
)

func write(w http.ResponseWriter, r *Request, resp *Response) {
	h := w.Header()
	if !resp.Bare {
		cors(h, r, resp.Preflight)
	}
	switch resp.ContentType {
	case "":
		h["Content-Type"] = valuesNone
	case contentTypeJSON:
		h["Content-Type"] = valuesJSON
	default:
		h["Content-Type"] = []string{resp.ContentType}
	}
	switch resp.Source {
	case fromIngress:
		h["X-Restate-Error-Source"] = valuesIngress
	case fromInvocation:
		h["X-Restate-Error-Source"] = valuesInvocation
	}
	if resp.Unread {
		h["Connection"], h["Www-Authenticate"] = []string{"close"}, []string{"Bearer"}
		_ = http.NewResponseController(w).SetReadDeadline(longAgo) // net/http would read on; an error means that the client has gone
	}
	if resp.HasID {
		var text [64]byte
		h["X-Restate-Id"] = []string{string(resp.ID.AppendText(text[:0]))}
	}
	if resp.ExpiresAt != 0 {
		var text [40]byte
		h["Idempotency-Expires"] = []string{string(AppendExpires(text[:0], resp.ExpiresAt))}
	}
	switch {
	case !mayHaveBody(resp.Status):
		w.WriteHeader(resp.Status)
		return
	case len(resp.Body) == 0:
		h["Content-Length"] = valuesEmptyLength
	default:
		h["Content-Length"] = []string{strconv.Itoa(len(resp.Body))}
	}
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body) // an error means that the client has gone
}

// cors allows everything.
func cors(h http.Header, r *Request, preflight bool) {
	h["Vary"] = valuesVary
	h["Access-Control-Allow-Credentials"] = valuesTrue
	if origin, ok := r.header(headerOrigin); ok {
		h["Access-Control-Allow-Origin"] = []string{origin}
	}
	if !preflight {
		return
	}
	if m, ok := r.header(headerRequestMethod); ok {
		h["Access-Control-Allow-Methods"] = []string{m}
	}
	if names, ok := r.header(headerRequestHeaders); ok {
		h["Access-Control-Allow-Headers"] = []string{names}
	}
}

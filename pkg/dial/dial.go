package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"

	"reprise/pkg/errs"
)

// Config says how endpoints are reached. Keys of the configuration file are below worker.invoker.
type Config struct {
	Timeout time.Duration // for one connection, with the tunnel (connect-timeout, 10 s)
	Proxy   string        // URL, http or https (http-proxy); "": none
	NoProxy string        // hosts that are reached directly, with commas between them (no-proxy)
}

// Dialer opens connections. It is safe for concurrent use.
type Dialer struct {
	net     net.Dialer
	timeout time.Duration
	proxyOf func(*url.URL) (*url.URL, error)
}

// New checks cfg.
func New(cfg Config) (*Dialer, error) {
	if cfg.Timeout <= 0 {
		return nil, errs.Newf(errs.Invalid, "connect-timeout %s is not positive", cfg.Timeout)
	}
	d := &Dialer{timeout: cfg.Timeout, proxyOf: func(*url.URL) (*url.URL, error) { return nil, nil }} //nolint:nilnil // no proxy
	if cfg.Proxy != "" {
		u, err := url.Parse(cfg.Proxy)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errs.Newf(errs.Invalid, "http-proxy is no URL with http or https") // it may hold a password
		}
		p := httpproxy.Config{HTTPProxy: cfg.Proxy, HTTPSProxy: cfg.Proxy, NoProxy: cfg.NoProxy}
		d.proxyOf = p.ProxyFunc()
	}
	return d, nil
}

// Dial opens a connection to host:port.
func (d *Dialer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	proxy, err := d.proxyOf(&url.URL{Scheme: "http", Host: address})
	if err != nil {
		return nil, fmt.Errorf("proxy for %s: %w", address, err)
	}
	if proxy == nil {
		return d.net.DialContext(ctx, network, address)
	}
	conn, err := d.dialProxy(ctx, network, proxy)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // what waits below ends
	err = tunnel(conn, proxy, address)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy: %w", err), conn.Close())
	}
	return conn, nil
}

func (d *Dialer) dialProxy(ctx context.Context, network string, proxy *url.URL) (net.Conn, error) {
	at := proxy.Host
	if proxy.Port() == "" {
		port := "80"
		if proxy.Scheme == "https" {
			port = "443"
		}
		at = net.JoinHostPort(proxy.Hostname(), port)
	}
	if proxy.Scheme == "https" {
		secure := tls.Dialer{NetDialer: &d.net, Config: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}}
		return secure.DialContext(ctx, network, at)
	}
	return d.net.DialContext(ctx, network, at)
}

// tunnel asks a proxy for a connection to address.
func tunnel(conn net.Conn, proxy *url.URL, address string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	// A proxy sends nothing after its answer before we do, and endpoints wait for us, too: but HTTP/2 servers
	// may send their SETTINGS first, so no byte beyond the answer may be read.
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // of a CONNECT: there is none
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("no tunnel to %s: %s", address, resp.Status)
	}
	return nil
}

// oneByte keeps a reader from reading ahead.
type oneByte struct{ conn net.Conn }

func (r oneByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return r.conn.Read(p[:1])
}

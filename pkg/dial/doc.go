// Package dial opens connections to endpoints, through a proxy where one is configured.
//
// A proxy is asked for a tunnel (CONNECT) to each endpoint, over http and https alike, since HTTP/2 with
// prior knowledge passes no proxy in another way. Endpoints on the loopback are reached directly.
//
//	d, err := dial.New(dial.Config{Timeout: 10 * time.Second, Proxy: "http://proxy:3128"})
//	conn, err := d.Dial(ctx, "tcp", "orders.example:9080")
package dial

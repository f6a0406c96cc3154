package soak

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"reprise/tests/e2e/harness"
)

const (
	mib = 1 << 20

	counters = 200     // keys that are added to
	keepers  = 4       // keys that hold up to 2 MiB
	largest  = 8 * mib // payload; a step and an output of that size come with it

	// answerLimit is how long anything may take: faults last seconds.
	answerLimit = 2 * time.Minute
	faultsMax   = 20
)

// load is what clients do. Each waits for its tick, so that it is the same load however fast the machine is.
type load struct {
	form    *harness.Form
	seed    uint64
	round   atomic.Uint64 // how often it was started
	numbers atomic.Int64  // of requests, for their idempotency keys

	adds, slow, hangs                         effects
	turns, puts, gone, halves, queries, again atomic.Int64
	carried                                   atomic.Int64 // bytes of payloads

	mu     sync.Mutex
	kept   [keepers][][sha256.Size]byte // digests of what each keeper was given last, and of what it was given since without an answer
	faults []error
}

// effects are requests that add one.
type effects struct{ asked, answered atomic.Int64 }

func newLoad(f *harness.Form, seed uint64) *load { return &load{form: f, seed: seed} }

// client is one of them.
type client struct {
	l      *load
	http   *http.Client
	random *rand.Rand
}

// start starts the clients. The function it returns lets them finish what they asked for.
func (l *load) start(ctx context.Context) (stop func()) {
	var stopped atomic.Bool
	var running sync.WaitGroup
	round, n := l.round.Add(1), uint64(0)
	run := func(every time.Duration, do func(*client, context.Context) error) {
		n++
		c := &client{l: l, http: &http.Client{Transport: &http.Transport{}}, random: rand.New(rand.NewPCG(l.seed, round<<32|n))}
		running.Go(func() {
			defer c.http.CloseIdleConnections()
			tick := time.NewTicker(every)
			defer tick.Stop()
			for !stopped.Load() && ctx.Err() == nil {
				if err := do(c, ctx); err != nil && ctx.Err() == nil {
					l.fault(err)
				}
				<-tick.C
			}
		})
	}
	for range 4 {
		run(200*time.Millisecond, (*client).add)
		run(2*time.Second, (*client).impatient)
		run(2*time.Second, (*client).hang)
	}
	for i := range keepers {
		run(10*time.Second, func(c *client, ctx context.Context) error { return c.keep(ctx, i) })
	}
	run(5*time.Second, func(c *client, ctx context.Context) error { return c.turn(ctx, 1+c.random.IntN(2*mib)) })
	run(20*time.Second, func(c *client, ctx context.Context) error { return c.turn(ctx, largest-c.random.IntN(mib)) })
	run(2*time.Second, (*client).half)
	if *sqlFlag {
		run(5*time.Second, (*client).query)
	}
	return func() {
		stopped.Store(true)
		running.Wait()
	}
}

func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < faultsMax {
		l.faults = append(l.faults, fmt.Errorf("%s: %w", time.Now().UTC().Format("15:04:05.000"), err))
	}
}

// key is a new idempotency key.
func (l *load) key() string { return strconv.FormatInt(l.numbers.Add(1), 10) }

func (c *client) add(ctx context.Context) error {
	c.l.adds.asked.Add(1)
	if _, err := c.ask(ctx, fmt.Sprintf("Counter/%d/add", c.random.IntN(counters)), []byte("1"), "application/json", c.l.key()); err != nil {
		return err
	}
	c.l.adds.answered.Add(1)
	return nil
}

// impatient goes away twice before the answer is there, and asks for it in the end.
func (c *client) impatient(ctx context.Context) error {
	c.l.slow.asked.Add(1)
	key, body := c.l.key(), []byte(strconv.Itoa(500+c.random.IntN(1500)))
	for range 2 {
		short, cancel := context.WithTimeout(ctx, time.Duration(20+c.random.IntN(300))*time.Millisecond)
		_, err := c.once(short, "Worker/slow", body, "application/json", key)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			c.l.gone.Add(1)
		}
	}
	if _, err := c.ask(ctx, "Worker/slow", body, "application/json", key); err != nil {
		return err
	}
	c.l.slow.answered.Add(1)
	return nil
}

// hang calls a handler that hangs in every other attempt.
func (c *client) hang(ctx context.Context) error {
	c.l.hangs.asked.Add(1)
	if _, err := c.ask(ctx, "Worker/hang", []byte("0"), "application/json", c.l.key()); err != nil {
		return err
	}
	c.l.hangs.answered.Add(1)
	return nil
}

// turn carries bytes there, into the journal, and back.
func (c *client) turn(ctx context.Context, size int) error {
	b := c.bytes(size)
	got, err := c.ask(ctx, "Worker/turn", b, "application/octet-stream", c.l.key())
	if err != nil {
		return err
	}
	if !bytes.Equal(got, turn(b)) {
		return fmt.Errorf("%d bytes came back as %d other ones", len(b), len(got))
	}
	c.l.turns.Add(1)
	c.l.carried.Add(int64(len(b)))
	return nil
}

// keep replaces what a keeper has, and checks what it had.
func (c *client) keep(ctx context.Context, i int) error {
	b := c.bytes(64<<10 + c.random.IntN(2*mib))
	had, err := c.ask(ctx, fmt.Sprintf("Keeper/%d/put", i), b, "application/octet-stream", c.l.key())
	c.l.mu.Lock()
	known := c.l.kept[i]
	if len(known) == 0 {
		known = append(known, sha256.Sum256(nil))
	}
	if c.l.kept[i] = append(known, sha256.Sum256(b)); err == nil {
		c.l.kept[i] = c.l.kept[i][len(known):]
	}
	c.l.mu.Unlock()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, func(k [sha256.Size]byte) bool { return bytes.Equal(k[:], had) }) {
		return fmt.Errorf("keeper %d had something else than it was given last", i)
	}
	c.l.puts.Add(1)
	c.l.carried.Add(int64(len(b)))
	return nil
}

// half sends half a request, and cuts the connection.
func (c *client) half(ctx context.Context) error {
	at, err := url.Parse(c.l.form.Ingress)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return err
	}
	b := c.bytes(256 << 10)
	_, err = fmt.Fprintf(conn, "POST /Worker/turn HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s", at.Host, 2*len(b), b)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	c.l.halves.Add(1)
	return conn.Close()
}

// queries are asked in turn.
var queries = []string{
	"SELECT status, count(*) FROM sys_invocation GROUP BY status",
	"SELECT count(*), sum(octet_length(value)) FROM state",
	"SELECT target_service_name, count(*) FROM sys_invocation_status GROUP BY 1",
	"SELECT id, index, entry_type FROM sys_journal ORDER BY id, index LIMIT 50",
}

// query asks SQL. It fails where a worker dies that is being read.
func (c *client) query(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	q := c.l.queries.Add(1)
	sql := harness.NewClient(c.l.form)
	defer sql.Close()
	_, err := sql.Query(ctx, queries[int(q)%len(queries)])
	var status *harness.StatusError
	if errors.As(err, &status) && status.Status >= 500 {
		c.l.again.Add(1)
		return nil
	}
	return err
}

func (c *client) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 { // random, so that nothing compresses it
		x := c.random.Uint64()
		for k := i; k < min(i+8, n); k++ {
			b[k] = byte(x)
			x >>= 8
		}
	}
	return b
}

// ask asks until there is an answer. Its key makes that the same request.
func (c *client) ask(ctx context.Context, path string, body []byte, kind, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	for {
		out, err := c.once(ctx, path, body, kind, key)
		var status *harness.StatusError
		if err == nil || !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable {
			return out, err
		}
		c.l.again.Add(1)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (c *client) once(ctx context.Context, path string, body []byte, kind, key string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.l.form.Ingress+"/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Idempotency-Key", key)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, &harness.StatusError{Path: path, Status: res.StatusCode, Body: string(out)}
	}
	return out, nil
}

// check checks that each effect that was answered is there, and that none is there twice.
func (l *load) check(ctx context.Context, c *harness.Client) error {
	sum := func(keys ...string) (sum int64, err error) {
		for _, key := range keys {
			var have int64
			if err := c.Call(ctx, "Counter/"+key+"/add", json.RawMessage("0"), &have); err != nil {
				return 0, err
			}
			sum += have
		}
		return sum, nil
	}
	var all []string
	for i := range counters {
		all = append(all, strconv.Itoa(i))
	}
	var failed []error
	for _, row := range []struct {
		what string
		keys []string
		*effects
	}{{"additions", all, &l.adds}, {"slow calls", []string{"slow"}, &l.slow}, {"calls that hung", []string{"hang"}, &l.hangs}} {
		have, err := sum(row.keys...)
		if err != nil {
			return err
		}
		if have < row.answered.Load() || have > row.asked.Load() {
			failed = append(failed, fmt.Errorf("%d effects of %d %s, of which %d were answered", have, row.asked.Load(), row.what, row.answered.Load()))
		}
	}
	return errors.Join(failed...)
}

func (l *load) summary() string {
	return fmt.Sprintf("%d additions, %d slow calls whose clients went away %d times, %d calls that hung, %d payloads and %d states of %d MiB together, "+
		"%d halves of requests, %d SQL statements; %d were told to come again",
		l.adds.answered.Load(), l.slow.answered.Load(), l.gone.Load(), l.hangs.answered.Load(), l.turns.Load(), l.puts.Load(), l.carried.Load()/mib,
		l.halves.Load(), l.queries.Load(), l.again.Load())
}

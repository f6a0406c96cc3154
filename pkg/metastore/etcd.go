package metastore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"reprise/pkg/errs"
	"reprise/pkg/host"
)

// ClientConfig says how to reach an etcd cluster.
type ClientConfig struct {
	Endpoints        []string      // host:port or URLs, all members
	ConnectTimeout   time.Duration // default 3 s
	KeepAlive        time.Duration // ping when silent for this long, default 5 s; etcd refuses less
	KeepAliveTimeout time.Duration // default 5 s
	RequestBytesMax  int           // default 32 MiB
	// Dial connects to a member at host:port; what URLs say is of no account then. nil: as etcd does it.
	Dial Dialer
}

// Dialer connects to host:port.
type Dialer func(ctx context.Context, address string) (net.Conn, error)

// options are for clients of etcd that connect in this way.
func (d Dialer) options() []grpc.DialOption {
	if d == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithContextDialer(d), grpc.WithTransportCredentials(insecure.NewCredentials())} // it has the credentials
}

// endpoints are the URLs as etcd's client is to be told of them.
func (d Dialer) endpoints(urls []string) []string {
	out := slices.Clone(urls)
	for i, u := range out {
		if d != nil {
			out[i] = place(u)
		}
	}
	return out
}

// place is a URL without its scheme: a member that gets TLS stays where it was.
func place(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	return rest
}

// releaseTimeout bounds giving back a lease at the end of a hold: a lease not given back expires.
const releaseTimeout = 200 * time.Millisecond

// holdTry bounds one question at the begin of a hold: a member that hangs never answers, the next one asked does.
const holdTry = 500 * time.Millisecond

// memberTimeout bounds a question to one member.
const memberTimeout = time.Second

// Etcd is a KV in an etcd cluster.
type Etcd struct {
	client *clientv3.Client
	clock  host.Clock
	// silent and opens are how long the member that a watch runs at may say nothing, and take to begin it: one that hangs would
	// tell of no change for as long as it does, such as of who leads instead of it.
	silent, opens limit
	dial          Dialer // nil: as etcd does it
	own           uint64 // member in this process, which the client asks directly; 0: none
}

var _ KV = (*Etcd)(nil)

// Dial returns a client of an etcd cluster. It connects when it is used.
func Dial(cfg ClientConfig, h host.Host) (*Etcd, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints:            cfg.Dial.endpoints(cfg.Endpoints),
		DialTimeout:          cfg.ConnectTimeout,
		DialKeepAliveTime:    cfg.KeepAlive,
		DialKeepAliveTimeout: cfg.KeepAliveTimeout,
		MaxCallSendMsgSize:   cfg.RequestBytesMax,
		Logger:               newZap(h.Log),
		DialOptions:          cfg.Dial.options(),
	})
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "etcd client of %v: %w", cfg.Endpoints, err)
	}
	e := newEtcd(c, h.Clock)
	e.dial = cfg.Dial
	return e, nil
}

func newEtcd(c *clientv3.Client, clock host.Clock) *Etcd {
	return &Etcd{
		client: c, clock: clock,
		silent: limit{least: watchSilence, most: watchSilenceMax}, opens: limit{least: watchOpens, most: watchOpensMax},
	}
}

// SetEndpoints says where the members are now.
func (e *Etcd) SetEndpoints(urls []string) { e.client.SetEndpoints(e.dial.endpoints(urls)...) }

// Close ends watches and holds.
func (e *Etcd) Close() error {
	if err := e.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close etcd client: %w", err)
	}
	return nil
}

// Read implements KV.
func (e *Etcd) Read(ctx context.Context, ranges ...Range) ([][]Item, int64, error) {
	ops := make([]clientv3.Op, len(ranges))
	for i, r := range ranges {
		if r.Prefix {
			ops[i] = clientv3.OpGet(r.Key, clientv3.WithPrefix())
		} else {
			ops[i] = clientv3.OpGet(r.Key)
		}
	}
	resp, err := e.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, 0, errs.Newf(errs.Unavailable, "read metadata: %w", err)
	}
	out := make([][]Item, len(ranges))
	for i, r := range resp.Responses {
		for _, kv := range r.GetResponseRange().Kvs {
			out[i] = append(out[i], itemOf(kv))
		}
	}
	return out, resp.Header.Revision, nil
}

// Txn implements KV.
func (e *Etcd) Txn(ctx context.Context, conds []Cond, writes []Write) (bool, int64, error) {
	if err := ctx.Err(); err != nil {
		return false, 0, errs.With(errs.Unavailable, err)
	}
	cmps := make([]clientv3.Cmp, len(conds))
	for i, c := range conds {
		switch {
		case c.Prefix:
			cmps[i] = clientv3.Compare(clientv3.ModRevision(c.Key).WithPrefix(), "<", c.Modified+1)
		case c.Value != nil:
			cmps[i] = clientv3.Compare(clientv3.Value(c.Key), "=", string(c.Value))
		default:
			cmps[i] = clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Modified)
		}
	}
	ops := make([]clientv3.Op, len(writes))
	for i, w := range writes {
		if w.Delete {
			ops[i] = clientv3.OpDelete(w.Key)
		} else {
			ops[i] = clientv3.OpPut(w.Key, string(w.Value))
		}
	}
	resp, err := e.client.Txn(ctx).If(cmps...).Then(ops...).Commit()
	if err != nil {
		return false, 0, errs.Newf(writeCode(err), "write metadata: %w", err)
	}
	return resp.Succeeded, resp.Header.Revision, nil
}

const (
	// watchAsk is how often the member that a watch runs at is asked whether it is up to date.
	watchAsk = 200 * time.Millisecond
	// watchSilence and watchSilenceMax bound how long it may say nothing: a leader that hung together with it is replaced after a
	// second.
	watchSilence, watchSilenceMax = 700 * time.Millisecond, 3 * time.Second
	// watchWell is how long a member speaks until it is not a slow one: then the limits are the least again.
	watchWell = 2 * time.Second
	// watchOpens and watchOpensMax bound how long it may take to begin.
	watchOpens, watchOpensMax = 300 * time.Millisecond, 2 * time.Second
)

// Watch implements KV.
func (e *Etcd) Watch(ctx context.Context, prefix string, from int64, f func([]Event) error) error {
	wctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	begun, done := context.WithTimeout(ctx, e.opens.current())
	defer done()
	stop := context.AfterFunc(begun, cancel) // Watch returns when the member answers
	responses := e.client.Watch(wctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(from))
	if !stop() && ctx.Err() == nil {
		e.opens.grow()
	}
	began := e.clock.Now()
	timer := e.clock.NewTimer(watchAsk)
	defer timer.Stop()
	for heard := began; ; {
		select {
		case resp, ok := <-responses:
			if !ok {
				if ctx.Err() != nil {
					return nil
				}
				return errs.Newf(errs.Unavailable, "watch metadata: ended by the server")
			}
			if heard = e.clock.Now(); heard.Sub(began) > watchWell {
				e.opens.ease()
				e.silent.ease()
			}
			if err := watched(ctx, resp, f); err != nil {
				return err
			}
		case <-timer.C():
			if silence := e.clock.Now().Sub(heard); silence > e.patience() {
				e.silent.grow()
				return errs.Newf(errs.Unavailable, "watch metadata: no word for %s", silence)
			}
			pctx, done := context.WithTimeout(wctx, watchAsk)
			err := e.client.RequestProgress(pctx)
			done()
			if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				return errs.Newf(errs.Unavailable, "watch metadata: %w", err)
			}
			timer.Reset(watchAsk)
		}
	}
}

// patience is how long the member that a watch runs at may say nothing. Where there is no other one, there is no hurry.
func (e *Etcd) patience() time.Duration {
	if len(e.client.Endpoints()) < 2 {
		return watchSilenceMax
	}
	return e.silent.current()
}

// watched hands a response over.
func watched(ctx context.Context, resp clientv3.WatchResponse, f func([]Event) error) error {
	if resp.CompactRevision != 0 {
		return ErrCompacted
	}
	if err := resp.Err(); err != nil && ctx.Err() == nil {
		return errs.Newf(errs.Unavailable, "watch metadata: %w", err)
	}
	events := make([]Event, len(resp.Events))
	for i, ev := range resp.Events {
		events[i] = Event{Item: itemOf(ev.Kv), Deleted: ev.Type == mvccpb.DELETE}
	}
	if len(events) == 0 { // it is up to date
		return nil
	}
	return f(events)
}

// Hold implements KV.
func (e *Etcd) Hold(ctx context.Context, key string, value []byte, ttl time.Duration, held func()) error {
	seconds := int64((ttl + time.Second - 1) / time.Second)
	tctx, stop := context.WithTimeout(ctx, holdTry)
	defer stop()
	lease, err := e.client.Grant(tctx, seconds)
	if err != nil {
		return holdErr(ctx, key, err)
	}
	hctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel() // before the lease ends, or the keeper sees it lost
		rctx, stop := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer stop()
		_, _ = e.client.Revoke(rctx, lease.ID) // if that fails it expires
	}()
	alive, err := e.client.KeepAlive(hctx, lease.ID)
	if err != nil {
		return holdErr(ctx, key, err)
	}
	if _, err := e.client.Put(tctx, key, string(value), clientv3.WithLease(lease.ID)); err != nil {
		return holdErr(ctx, key, err)
	}
	held()
	for range alive { // closed when the lease is lost or ctx ended
		continue
	}
	return holdErr(ctx, key, errors.New("lease lost"))
}

// Member is a member of an etcd cluster.
type Member struct {
	ID         uint64
	Name       string // "": it has never started
	PeerURLs   []string
	ClientURLs []string
	Learner    bool   // it does not count yet
	Err        error  // why it does not tell what follows
	Version    string // of etcd
	Leader     uint64 // member that leads; 0: none
	Term       uint64
	Applied    uint64
	Committed  uint64
	DBBytes    int64
}

// Members asks each member how it stands. It needs no quorum: who is a member is what the one that answers knows.
func (e *Etcd) Members(ctx context.Context) ([]Member, error) {
	all, err := e.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "list the metadata members: %w", err)
	}
	out := make([]Member, len(all.Members))
	for i, m := range all.Members {
		out[i] = Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner}
		e.ask(ctx, &out[i])
	}
	return out, nil
}

// ask fills in what a member tells.
func (e *Etcd) ask(ctx context.Context, m *Member) {
	url := ""
	if len(m.ClientURLs) > 0 {
		url = m.ClientURLs[0]
	}
	client := e.client
	if url != "" {
		url = e.dial.endpoints([]string{url})[0]
	}
	switch {
	case m.ID == e.own:
	case url == "":
		m.Err = errs.Newf(errs.Unavailable, "it has never started, or clients can not reach it")
		return
	case e.own != 0: // a client of this process's member knows no other
		other, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop(), DialOptions: e.dial.options()})
		if err != nil {
			m.Err = err
			return
		}
		defer func() { _ = other.Close() }() // it only asked
		client = other
	}
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	st, err := client.Status(ctx, url)
	if err != nil {
		m.Err = err
		return
	}
	m.Version, m.Leader, m.Term, m.Applied, m.Committed, m.DBBytes = st.Version, st.Leader, st.RaftTerm, st.RaftAppliedIndex, st.RaftIndex, st.DbSize
}

func holdErr(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return errs.Newf(errs.Unavailable, "hold %s: %w", key, err)
}

// writeCode tells what a failed write leaves behind. Only answers that etcd gives before it proposes
// are sure; a lost leader or a timeout is not.
func writeCode(err error) errs.Code {
	var known rpctypes.EtcdError
	code := codes.Unknown
	if errors.As(err, &known) {
		code = known.Code()
	} else if s, ok := status.FromError(err); ok {
		code = s.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.FailedPrecondition:
		return errs.Invalid
	case codes.ResourceExhausted, codes.Unauthenticated, codes.PermissionDenied: // full, or too many in flight
		return errs.Unavailable
	default:
		return errs.Uncertain
	}
}

func itemOf(kv *mvccpb.KeyValue) Item {
	return Item{Key: string(kv.Key), Value: kv.Value, Created: kv.CreateRevision, Modified: kv.ModRevision}
}

package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"

	"google.golang.org/grpc"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/admin"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/logkey"
	"reprise/pkg/metastore"
	"reprise/pkg/query"
	"reprise/pkg/query/duck"
	"reprise/pkg/query/postgres"
	"reprise/pkg/registry"
	"reprise/pkg/rpc"
	"reprise/services/internal/daemon"
	"reprise/services/internal/door"
	"reprise/services/internal/node"
	"reprise/services/internal/outbound"
)

// Run builds an admin daemon and blocks until ctx ends or a part fails. Top to bottom is the start order.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	ln, err := rpc.Listen(ctx, d.Config.AdminEndpoint()) // a port that is taken is told before anything is changed
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // the server has closed it, unless it was never started
	n, err := node.Join(ctx, d, node.Dial, func(s *storedv1.Node) { s.Roles = []string{metastore.RoleAdmin} })
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	sql, err := NewSQL(ctx, n, n.Scans())
	if err != nil {
		return err
	}
	workers, err := n.Workers()
	if err != nil {
		return err
	}
	server, err := New(n, ln, workers, sql.Handler)
	if err != nil {
		return err
	}
	parts := append(n.Parts(), sql.Parts...)
	return lifecycle.Run(ctx, append(parts, workers, server, n.Fabric(sql.Register))...)
}

// SQL is what answers statements.
type SQL struct {
	Handler  http.Handler
	Parts    []lifecycle.Part            // none, if this binary was built without SQL
	Register func(grpc.ServiceRegistrar) // what operators ask the fabric port
}

// NewSQL builds what answers statements over partitions that are reached through scans.
func NewSQL(ctx context.Context, n *node.Node, scans query.Partitions) (sql SQL, err error) {
	if !duck.Available {
		n.Host.Log.Warn("built without SQL: POST /query is refused")
		return SQL{Handler: query.Unavailable(), Register: rpc.NewQueryServer(nil).Register}, nil
	}
	cfg := &n.Config.Admin.QueryEngine
	c := query.Default(runtime.GOMAXPROCS(0))
	c.Command = []string{self(), query.ChildArg}
	c.MemoryBytes, c.SpillDir = int64(cfg.MemoryBytes), cfg.TmpDir
	c.RatePerSecond, c.BurstMax = cfg.RateLimiting.Bucket()
	if cfg.Parallelism != nil && *cfg.Parallelism > 0 {
		c.Threads = int(*cfg.Parallelism)
	}
	known := cluster{n}
	engine, err := query.New(c, query.Parts{
		Partitions: scans, Registry: n.View.Registry, Count: func() uint32 { return n.View.Current().Partitions },
		Node: known.leader, Cluster: known.now, Chains: known.chain,
	}, n.Host)
	if err != nil {
		return SQL{}, err
	}
	n.Live.OnChange(func(c *config.Config) {
		rate, burst := c.Admin.QueryEngine.RateLimiting.Bucket()
		engine.SetLimits(int64(c.Admin.QueryEngine.MemoryBytes), rate, burst)
	})
	sql = SQL{Handler: engine, Parts: []lifecycle.Part{engine}, Register: rpc.NewQueryServer(engine).Register}
	at, ok := n.Config.PostgresEndpoint()
	if !ok {
		return sql, nil
	}
	ln, err := rpc.Listen(ctx, at)
	if err != nil {
		return SQL{}, err
	}
	p := postgres.Default()
	p.ConnectionsMax = int(n.Config.Admin.Postgres.ConnectionsMax)
	server, err := postgres.New(p, ln, engine, n.Host)
	if err != nil {
		return SQL{}, errors.Join(err, ln.Close())
	}
	n.Host.Log.Info("sql is served to clients of postgres, to anybody", slog.String(logkey.Peer, ln.Addr().String()))
	sql.Parts = append(sql.Parts, server)
	return sql, nil
}

// self is how this binary starts itself, also when its file was replaced by a newer one.
func self() string {
	const linux = "/proc/self/exe"
	if _, err := os.Stat(linux); err == nil {
		return linux
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// New builds the admin API on a listener, which it closes when it ends. sql answers statements.
func New(n *node.Node, ln net.Listener, partitions admin.Partitions, sql http.Handler) (*admin.Server, error) {
	cfg := &n.Config
	r := registry.Default()
	r.Headers = outbound.Headers(cfg)
	for _, name := range cfg.Admin.RoutingHeaders {
		r.RoutingHeaders = append(r.RoutingHeaders, strings.ToLower(name))
	}
	functions, err := outbound.Lambda(cfg) // its idle connections end with the process
	if err != nil {
		return nil, err
	}
	r.Lambda = functions
	if r.Identity, err = outbound.Identity(cfg, n.Host); err != nil {
		return nil, err
	}
	dialer, err := outbound.Dialer(cfg)
	if err != nil {
		return nil, err
	}
	r.Connect = dialer.Dial
	r.ConnectTimeout = cfg.Worker.Invoker.ConnectTimeout.D()
	reg, err := registry.New(r, n.Meta, registry.Watched(n.View), n.Host)
	if err != nil {
		return nil, err
	}
	a := admin.Default()
	a.Listener = ln
	if a.Certs, a.Tokens, err = door.Open("admin.", cfg.Admin.TLS, cfg.Admin.TokensFile, n.Host); err != nil {
		return nil, err
	}
	a.IngressEndpoint = func() string { return ingressURL(n) }
	a.Query = sql
	a.ConcurrentRequestsMax = int(cfg.Admin.RequestsMax)
	a.DisableWebUI = cfg.Admin.DisableWebUI
	a.Health = func() (string, []uint32, bool) { return clusterHealth(n) }
	server, err := admin.New(a, reg, partitions, n.Host)
	if err != nil {
		return nil, err
	}
	n.Live.OnChange(func(c *config.Config) { server.SetConcurrentRequestsMax(int(c.Admin.RequestsMax)) })
	return server, nil
}

// clusterHealth names the cluster and the nodes that keep its metadata.
func clusterHealth(n *node.Node) (name string, members []uint32, ok bool) {
	now := n.View.Current()
	if now.Cluster == nil {
		return "", nil, false
	}
	for _, known := range now.Nodes {
		if slices.Contains(known.Roles, metastore.RoleMetadata) {
			members = append(members, known.Id)
		}
	}
	return now.Cluster.Name, members, true
}

// ingressURL is where clients reach an ingress: what is configured here, else what one has announced.
func ingressURL(n *node.Node) string {
	for _, known := range n.Nodes() {
		if known.IngressUrl != "" {
			return known.IngressUrl + "/"
		}
	}
	return ""
}

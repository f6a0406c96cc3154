package wire

import (
	"context"
	"errors"
	"fmt"
	"net"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/admin"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
	"reprise/pkg/processor"
	"reprise/pkg/rpc"
	adminwire "reprise/services/admin/wire"
	ingresswire "reprise/services/ingress/wire"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
	logserverwire "reprise/services/log-server/wire"
	metadatawire "reprise/services/metadata/wire"
	workerwire "reprise/services/worker/wire"
)

// Run builds the roles and blocks until ctx ends or a part fails. Top to bottom is the start order. Where the configuration names
// other nodes, it is one of several.
func Run(ctx context.Context, d daemon.Daemon) (err error) {
	if len(rolesOf(&d.Config)) < len(allRoles) {
		return runSome(ctx, d)
	}
	if c := &d.Config; len(c.MetadataServer.InitialCluster) > 0 || len(c.MetadataClient.Addresses) > 0 {
		return runMember(ctx, d)
	}
	ports, err := listen(ctx, &d)
	if err != nil {
		return err
	}
	defer ports.close()
	member := metadatawire.Member{Alone: true}
	n, err := node.Join(ctx, d, member.Open, func(s *storedv1.Node) { ports.describe(&d, s) })
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	logs, err := logserverwire.Open(ctx, n)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, logs)
	logServers := n.LogDialer(logs.Server)
	worker, err := workerwire.New(n, logServers, nil)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, worker)
	serve, err := worker.Service(n) // for operators
	if err != nil {
		return err
	}
	front, err := ingresswire.New(n, ports.ingress, worker.Node)
	if err != nil {
		return err
	}
	sql, err := adminwire.NewSQL(ctx, n, worker.Scanner)
	if err != nil {
		return err
	}
	api, err := adminwire.New(n, ports.admin, worker.Node, sql.Handler)
	if err != nil {
		return err
	}
	assign := controller.Default()
	assign.Settle = 0 // there is one worker
	parts := append(member.Parts(), n.Parts()...)
	parts = append(parts, logs.Server, controller.New(assign, n.Member.ID.Node, n.View, alone{n.Member.ID, worker.Node}, n.Meta, n.Host),
		controller.NewVersions(n.View, n.Meta, n.Host))
	parts = append(parts, worker.LogParts()...)
	// The ingress starts before all partitions are led: it tries again what is for those that are not yet.
	parts = append(parts, lifecycle.Func(worker.Node.Run), front, awaiting(worker.Node))
	parts = append(parts, sql.Parts...)
	parts = append(parts, api, n.Fabric(serve.Register, sql.Register, n.Operator(alone{n.Member.ID, worker.Node}, logServers).Register), banner(n, ports.ingress.Addr(), api))
	return lifecycle.Run(ctx, parts...)
}

// ports are those that people use. They are taken before anything is changed.
type ports struct{ ingress, admin net.Listener }

func listen(ctx context.Context, d *daemon.Daemon) (p ports, err error) {
	if p.ingress, err = rpc.Listen(ctx, d.Config.IngressEndpoint()); err != nil {
		return p, err
	}
	if p.admin, err = rpc.Listen(ctx, d.Config.AdminEndpoint()); err != nil {
		return p, errors.Join(err, p.ingress.Close())
	}
	return p, nil
}

// close closes what its server has not closed, as it was never started.
func (p ports) close() {
	for _, ln := range []net.Listener{p.ingress, p.admin} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// describe adds what a node with all roles tells others.
func (p ports) describe(d *daemon.Daemon, s *storedv1.Node) {
	s.Roles = []string{metastore.RoleMetadata, metastore.RoleLogServer, metastore.RoleWorker, metastore.RoleIngress, metastore.RoleAdmin}
	s.IngressUrl = d.Config.IngressEndpoint().URL(p.ingress.Addr())
}

// alone is the roster of one worker.
type alone struct {
	me     id.GenerationalNode
	worker *processor.Node
}

// Alive implements rpc.Attendants.
func (a alone) Alive() []placement.Attendant {
	return []placement.Attendant{{ID: a.me, Statuses: a.worker.Status()}}
}

// Call implements rpc.Attendants.
func (a alone) Call(c placement.Call) bool { return a.worker.Lead(c.Partition, c.Over) == nil }

// awaiting is a part that does nothing and is ready when another one is.
func awaiting(r lifecycle.Readier) lifecycle.Part { return gate{r} }

type gate struct{ lifecycle.Readier }

// Run waits for the end.
func (gate) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// banner is the last part: all others are ready when it says so.
func banner(n *node.Node, ingress net.Addr, api *admin.Server) lifecycle.Part {
	return lifecycle.Func(func(ctx context.Context) error {
		ingressURL, adminURL := n.Config.IngressEndpoint().Scheme()+local(ingress), n.Config.AdminEndpoint().Scheme()+local(api.Addr())
		flag := ""
		if adminURL != "http://localhost:9070" {
			flag = "RESTATE_ADMIN_URL=" + adminURL + " "
		}
		_, _ = fmt.Fprintf(n.Banner, `
Reprise %s is ready: ingress %s, admin %s, data in %s

Next, in another terminal:
  go run ./tests/e2e/greeter
  %sbin/reprise deployments register http://localhost:9080 --yes
  curl %s/Greeter/Greet --json '"Ada"'

`, daemon.Version, ingressURL, adminURL, n.Config.DataDir(), flag, ingressURL) // a closed stdout is no reason to stop
		<-ctx.Done()
		return nil
	})
}

// local is how a person on this machine reaches a listener.
func local(at net.Addr) string {
	tcp, ok := at.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() && !tcp.IP.IsLoopback() {
		return at.String()
	}
	return fmt.Sprintf("localhost:%d", tcp.Port)
}

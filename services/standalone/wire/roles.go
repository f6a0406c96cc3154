package wire

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/config"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	"reprise/pkg/rpc"
	adminwire "reprise/services/admin/wire"
	ingresswire "reprise/services/ingress/wire"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
	logserverwire "reprise/services/log-server/wire"
	metadatawire "reprise/services/metadata/wire"
	workerwire "reprise/services/worker/wire"
)

// allRoles are those that there are.
var allRoles = []string{metastore.RoleMetadata, metastore.RoleLogServer, metastore.RoleWorker, metastore.RoleIngress, metastore.RoleAdmin}

// some is a process with some of the roles.
type some struct {
	roles    []string
	node     *node.Node
	others   *rpc.WorkerClient
	register []func(grpc.ServiceRegistrar) // at the fabric port
	early    []lifecycle.Part              // before the fabric port
	late     []lifecycle.Part              // after it: what needs other nodes, which need this one likewise
}

// rolesOf are those that the configuration names, each once.
func rolesOf(cfg *config.Config) []string {
	return slices.DeleteFunc(slices.Clone(allRoles), func(role string) bool { return !slices.Contains(cfg.Roles, role) })
}

func (s *some) has(role string) bool { return slices.Contains(s.roles, role) }

// runSome builds those roles that the configuration names. What they ask of each other goes over the fabric.
func runSome(ctx context.Context, d daemon.Daemon) (err error) {
	s := &some{roles: rolesOf(&d.Config)}
	ports, err := listenFor(ctx, &d, s.has)
	if err != nil {
		return err
	}
	defer ports.close()
	var member metadatawire.Member
	open := node.Dial
	if s.has(metastore.RoleMetadata) {
		open = member.Open
	}
	n, err := node.Join(ctx, d, open, func(x *storedv1.Node) {
		x.Roles = s.roles
		member.Describe(x)
		if ports.ingress != nil {
			x.IngressUrl = d.Config.IngressEndpoint().URL(ports.ingress.Addr())
		}
	})
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	s.node = n
	s.early = append(member.Parts(), n.Parts()...)
	s.early = append(s.early, member.Joins(n)...)
	if s.others, err = n.Workers(); err != nil {
		return err
	}
	opened, leaves, err := s.stores(ctx)
	defer func() { errs.CloseInto(&err, opened) }()
	if err != nil {
		return err
	}
	if err := s.fronts(ctx, ports); err != nil {
		return err
	}
	parts := append(s.early, n.Fabric(s.register...))
	parts = append(parts, s.late...)
	return lifecycle.Run(ctx, append(parts, leaves...)...)
}

// stores builds the roles with a disk: log-server, worker, metadata. leaves are the last parts.
func (s *some) stores(ctx context.Context) (opened closers, leaves []lifecycle.Part, err error) {
	n := s.node
	var local rpc.LogEngine
	if s.has(metastore.RoleLogServer) {
		logs, err := logserverwire.Open(ctx, n)
		if err != nil {
			return opened, nil, err
		}
		opened = append(opened, logs)
		local = logs.Server
		s.early = append(s.early, logs.Server)
		s.register = append(s.register, rpc.NewLogService(logs.Server, n.Fingerprint()).Register)
	}
	if s.has(metastore.RoleMetadata) {
		control := metadatawire.NewControl(n)
		s.early = append(s.early, control.Parts()...)
		s.register = append(s.register, control.Register)
	}
	var attends membership.Worker
	if s.has(metastore.RoleWorker) {
		worker, err := workerwire.New(n, n.LogDialer(local), s.others)
		if err != nil {
			return opened, nil, err
		}
		opened = append(opened, worker)
		s.others.SetOwn(worker.Node)
		serve, err := worker.Service(n)
		if err != nil {
			return opened, nil, err
		}
		attends = worker.Node
		s.early = append(s.early, worker.LogParts()...)
		s.register = append(s.register, serve.Register)
		s.late = append(s.late, lifecycle.Func(worker.Node.Run))
		leaves = append(leaves, awaiting(worker.Node)) // what people reach comes before all partitions are led
	}
	s.early = append(s.early, s.others)
	if s.has(metastore.RoleLogServer) || s.has(metastore.RoleMetadata) || attends != nil {
		attendance := n.Attendance(attends)
		s.early = append(s.early, attendance)
		leaves = append(leaves, attendance.Departure())
	}
	return opened, leaves, nil
}

// fronts builds the roles that people reach: ingress and admin.
func (s *some) fronts(ctx context.Context, at ports) error {
	if at.ingress != nil {
		front, err := ingresswire.New(s.node, at.ingress, s.others)
		if err != nil {
			return err
		}
		s.late = append(s.late, front)
	}
	if at.admin == nil {
		return nil
	}
	sql, err := adminwire.NewSQL(ctx, s.node, s.node.Scans())
	if err != nil {
		return err
	}
	api, err := adminwire.New(s.node, at.admin, s.others, sql.Handler)
	if err != nil {
		return err
	}
	s.register = append(s.register, sql.Register)
	s.late = append(append(s.late, sql.Parts...), api)
	return nil
}

// listenFor takes the ports of the roles that people reach.
func listenFor(ctx context.Context, d *daemon.Daemon, has func(role string) bool) (p ports, err error) {
	if has(metastore.RoleIngress) {
		if p.ingress, err = rpc.Listen(ctx, d.Config.IngressEndpoint()); err != nil {
			return p, err
		}
	}
	if has(metastore.RoleAdmin) {
		if p.admin, err = rpc.Listen(ctx, d.Config.AdminEndpoint()); err != nil {
			p.close()
			return p, err
		}
	}
	return p, nil
}

// closers closes in the reverse order.
type closers []interface{ Close() error }

// Close closes all.
func (c closers) Close() (err error) {
	for i := len(c) - 1; i >= 0; i-- {
		errs.CloseInto(&err, c[i])
	}
	return err
}

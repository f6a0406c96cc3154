package wire

import (
	"context"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/lifecycle"
	"reprise/pkg/rpc"
	adminwire "reprise/services/admin/wire"
	ingresswire "reprise/services/ingress/wire"
	"reprise/services/internal/daemon"
	"reprise/services/internal/node"
	logserverwire "reprise/services/log-server/wire"
	metadatawire "reprise/services/metadata/wire"
	workerwire "reprise/services/worker/wire"
)

// runMember builds all roles of one node of a cluster: metadata-server.initial-cluster names those it begins with, or
// metadata-client.addresses some of one that it joins. What the roles ask of each other goes over the fabric, since others may
// lead.
func runMember(ctx context.Context, d daemon.Daemon) (err error) {
	ports, err := listen(ctx, &d)
	if err != nil {
		return err
	}
	defer ports.close()
	var member metadatawire.Member
	n, err := node.Join(ctx, d, member.Open, func(s *storedv1.Node) {
		ports.describe(&d, s)
		member.Describe(s)
	})
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, n)
	logs, err := logserverwire.Open(ctx, n)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, logs)
	others, err := n.Workers()
	if err != nil {
		return err
	}
	worker, err := workerwire.New(n, n.LogDialer(logs.Server), others)
	if err != nil {
		return err
	}
	defer errs.CloseInto(&err, worker)
	others.SetOwn(worker.Node)
	serve, err := worker.Service(n)
	if err != nil {
		return err
	}
	front, err := ingresswire.New(n, ports.ingress, others)
	if err != nil {
		return err
	}
	sql, err := adminwire.NewSQL(ctx, n, n.Scans())
	if err != nil {
		return err
	}
	api, err := adminwire.New(n, ports.admin, others, sql.Handler)
	if err != nil {
		return err
	}
	control := metadatawire.NewControl(n)
	attendance := n.Attendance(worker.Node)
	parts := append(member.Parts(), n.Parts()...)
	parts = append(parts, member.Joins(n)...)
	parts = append(parts, logs.Server)
	parts = append(parts, control.Parts()...)
	parts = append(parts, attendance, others)
	parts = append(parts, worker.LogParts()...)
	// The fabric comes before what needs the other nodes, which wait for this one likewise.
	parts = append(parts, n.Fabric(rpc.NewLogService(logs.Server, n.Fingerprint()).Register, serve.Register, control.Register, sql.Register))
	parts = append(parts, lifecycle.Func(worker.Node.Run), front, awaiting(worker.Node))
	parts = append(parts, sql.Parts...)
	parts = append(parts, api, attendance.Departure(), banner(n, ports.ingress.Addr(), api))
	return lifecycle.Run(ctx, parts...)
}

package node

import (
	"reprise/pkg/loglet"
	"reprise/pkg/rpc"
)

// LogDialer reaches the log-servers of the cluster: local, if not nil, by direct call.
func (n *Node) LogDialer(local rpc.LogEngine) *rpc.LogDialer {
	return rpc.NewLogDialer(n.Member.ID, n.Fingerprint(), n.Nodes, n.Peers, local)
}

// Scans reaches the rows of partitions that are led on other nodes.
func (n *Node) Scans() *rpc.ScanClient {
	return rpc.NewScanClient(n.Member.ID, rpc.NewRoutes(n.View), n.Peers)
}

// Workers reaches the leaders of partitions on other nodes.
func (n *Node) Workers() (*rpc.WorkerClient, error) {
	return rpc.NewWorkerClient(rpc.DefaultWorker(), n.Member.ID, rpc.NewRoutes(n.View), n.Peers, n.Host)
}

// Operator is what reprisectl talks to; attendants knows how workers stand, logs reaches the log-servers.
func (n *Node) Operator(attendants rpc.Attendants, logs *rpc.LogDialer) *rpc.OperatorServer {
	reads := loglet.Default()
	reads.Self = n.Member.ID.Node
	return rpc.NewOperatorServer(rpc.Operated{
		Meta: n.Meta, View: n.View, Attendants: attendants, Logs: loglet.NewClient(reads, logs, n.Host),
		Keepers: rpc.NewKeeperClient(n.Member.ID, rpc.NewRoutes(n.View), n.Peers),
	})
}

package node

import (
	"reprise/pkg/config"
	"reprise/pkg/loglet"
	"reprise/pkg/rpc"
)

// LogDialer reaches the log-servers of the cluster: local, if not nil, by direct call.
func (n *Node) LogDialer(local rpc.LogEngine) *rpc.LogDialer {
	return rpc.NewLogDialer(n.Member.ID, n.Fingerprint(), n.Nodes, n.Peers, local)
}

// LogReads is how logs are read.
func (n *Node) LogReads() loglet.Config {
	c := loglet.Default()
	c.Self, c.ReadBytesMax = n.Member.ID.Node, n.Config.Bifrost.Loglet.ReadBatchBytes.Int()
	return c
}

// peersConfig is how other daemons are connected to.
func peersConfig(cfg *config.Config) rpc.PeersConfig {
	c := &cfg.Networking
	return rpc.PeersConfig{
		ConnectTimeout: c.ConnectTimeout.D(), UnackedMax: c.KeepAliveTimeout.D(), WindowBytes: c.DataWindow.Int(), Retry: c.ConnectRetry.Policy(),
	}
}

// Scans reaches the rows of partitions that are led on other nodes.
func (n *Node) Scans() *rpc.ScanClient {
	return rpc.NewScanClient(n.Member.ID, rpc.NewRoutes(n.View), n.Peers)
}

// Workers reaches the leaders of partitions on other nodes.
func (n *Node) Workers() (*rpc.WorkerClient, error) {
	c := rpc.DefaultWorker()
	c.HelloTimeout = n.Config.Networking.HandshakeTimeout.D()
	return rpc.NewWorkerClient(c, n.Member.ID, rpc.NewRoutes(n.View), n.Peers, n.Host)
}

// Operator is what reprisectl talks to; attendants knows how workers stand, logs reaches the log-servers.
func (n *Node) Operator(attendants rpc.Attendants, logs *rpc.LogDialer) *rpc.OperatorServer {
	return rpc.NewOperatorServer(rpc.Operated{
		Meta: n.Meta, View: n.View, Attendants: attendants, Logs: loglet.NewClient(n.LogReads(), logs, n.Host),
		Keepers: rpc.NewKeeperClient(n.Member.ID, rpc.NewRoutes(n.View), n.Peers), Host: n.Host,
	})
}

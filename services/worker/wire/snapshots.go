package wire

import (
	"context"
	"fmt"

	"reprise/pkg/config"
	"reprise/pkg/processor"
	"reprise/pkg/snapshot"
	"reprise/pkg/snapshot/bucket"
	"reprise/services/internal/node"
)

// openObjects opens the object store of snapshots; nil if none is configured.
func openObjects(cfg *config.Config) (*bucket.Bucket, error) {
	s := &cfg.Worker.Snapshots
	if s.Destination == "" {
		return nil, nil
	}
	b, err := bucket.Open(context.Background(), bucket.Config{Destination: s.Destination, AWS: bucket.AWS{
		Profile: s.AWSProfile, Region: s.AWSRegion, AccessKeyID: s.AWSAccessKeyID, SecretAccessKey: s.AWSSecretKey, SessionToken: s.AWSSessionToken,
		EndpointURL: s.AWSEndpoint, AllowHTTP: s.AWSAllowHTTP,
	}})
	if err != nil {
		return nil, fmt.Errorf("object store of snapshots: %w", err)
	}
	return b, nil
}

// snapshots returns what keeps copies of partition stores; nil without an object store.
func (w *Worker) snapshots(n *node.Node) (processor.Snapshots, error) {
	if w.objects == nil {
		return nil, nil
	}
	c := snapshot.Default()
	c.ClusterName, c.Fingerprint = n.Config.ClusterName, n.Member.Cluster.Fingerprint
	c.NodeName, c.Retained = n.Member.Node.Name, int(n.Config.Worker.Snapshots.Retained)
	c.Retry = n.Config.Worker.Snapshots.Retry.Policy()
	r, err := snapshot.New(c, w.objects, w.objects, n.Host)
	if err != nil {
		return nil, err
	}
	n.Live.OnChange(func(c *config.Config) {
		r.SetRetained(int(c.Worker.Snapshots.Retained))
		r.SetRetry(c.Worker.Snapshots.Retry.Policy())
	})
	return r, nil
}
